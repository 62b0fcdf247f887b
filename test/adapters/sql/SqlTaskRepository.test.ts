import { Effect } from "effect"
import { taskRepositoryContract } from "../../ports/taskRepositoryContract.ts"
import { freshStore } from "./support.ts"

taskRepositoryContract("PostgreSQL", {
  layer: freshStore,
  clock: "live",
  elapse: Effect.sleep,
  leaseDuration: 1_500,
  changesKept: undefined,
  randomRuns: 12
})
