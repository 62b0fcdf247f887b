export { MemoryTaskRepository } from "./MemoryTaskRepository.ts"
