/** `effect-lambda-scheduler/embedded`: a real PostgreSQL on this machine. */
export { EmbeddedPostgres } from "./EmbeddedPostgres.ts"
export type { EmbeddedPostgresOptions } from "./EmbeddedPostgres.ts"
export { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
