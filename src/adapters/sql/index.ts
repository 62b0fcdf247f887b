export { PgConnections } from "./PgConnections.ts"
export type { PgConnectionsOptions } from "./PgConnections.ts"
export { SqlTaskRepository } from "./SqlTaskRepository.ts"
export type { SqlTaskRepositoryOptions } from "./SqlTaskRepository.ts"
