/**
 * What every TaskRepository must do, whatever it is made of. An adapter's test is one call:
 *
 * @example
 * taskRepositoryContract("memory", {
 *   layer: MemoryTaskRepository.layer,
 *   clock: "test",
 *   elapse: TestClock.adjust,
 *   leaseDuration: 6_000,
 *   changesKept: 10_000,
 *   randomRuns: 300
 * })
 */
import { describe } from "@effect/vitest"
import { cancellingContract } from "./contract/cancelling.ts"
import { changesContract } from "./contract/changes.ts"
import { changingContract } from "./contract/changing.ts"
import { claimingContract } from "./contract/claiming.ts"
import { controlsContract } from "./contract/controls.ts"
import { deadLettersContract } from "./contract/deadLetters.ts"
import { expiringContract } from "./contract/expiring.ts"
import type { TaskRepositoryHarness } from "./contract/harness.ts"
import { suiteOf } from "./contract/harness.ts"
import { heldContract } from "./contract/held.ts"
import { idempotencyContract } from "./contract/idempotency.ts"
import { leasesContract } from "./contract/leases.ts"
import { listingContract } from "./contract/listing.ts"
import { pruningContract } from "./contract/pruning.ts"
import { randomCallsContract } from "./contract/randomCalls.ts"
import { runningContract } from "./contract/running.ts"
import { schedulesContract } from "./contract/schedules.ts"
import { startingClaimsContract } from "./contract/startingClaims.ts"
import { storingContract } from "./contract/storing.ts"

export type { TaskRepositoryHarness } from "./contract/harness.ts"

export const taskRepositoryContract = <E>(name: string, harness: TaskRepositoryHarness<E>): void => {
  const suite = suiteOf(harness)
  describe(`TaskRepository: ${name}`, () => {
    describe("storing", () => storingContract(suite))
    describe("idempotent creation", () => idempotencyContract(suite))
    describe("claiming", () => claimingContract(suite))
    describe("starting with the claim", () => startingClaimsContract(suite))
    describe("running", () => runningContract(suite))
    describe("deadlines", () => expiringContract(suite))
    describe("with what is held", () => heldContract(suite))
    describe("controls", () => controlsContract(suite))
    describe("schedules", () => schedulesContract(suite))
    describe("changing schedules", () => changingContract(suite))
    describe("cancelling", () => cancellingContract(suite))
    describe("leases", () => leasesContract(suite))
    describe("listing", () => listingContract(suite))
    describe("changes", () => changesContract(suite))
    describe("pruning", () => pruningContract(suite))
    describe("dead letters", () => deadLettersContract(suite))
    describe("random calls", () => randomCallsContract(suite))
  })
}
