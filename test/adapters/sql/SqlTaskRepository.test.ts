import { Effect } from "effect"
import { taskRepositoryContract } from "../../ports/taskRepositoryContract.ts"
import { expire, freshStore } from "./support.ts"

taskRepositoryContract("PostgreSQL", {
  layer: freshStore,
  clock: "live",
  elapse: Effect.sleep,
  leaseDuration: 1_500,
  expire,
  changesKept: undefined,
  randomRuns: 12
})
