import { TestClock } from "effect"
import { MemoryTaskRepository } from "../../../src/adapters/memory/index.ts"
import { taskRepositoryContract } from "../../ports/taskRepositoryContract.ts"

taskRepositoryContract("memory", {
  layer: MemoryTaskRepository.layer,
  clock: "test",
  elapse: TestClock.adjust,
  leaseDuration: 6_000,
  changesKept: 10_000,
  randomRuns: 500
})
