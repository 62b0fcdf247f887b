import { assert, describe, it } from "@effect/vitest"
import type { Duration } from "effect"
import { Effect, TestClock } from "effect"
import { makeNearFuture } from "../../src/engine/NearFuture.ts"
import { EngineConfig } from "../../src/index.ts"
import type { ClaimedTask } from "../../src/ports/TaskRepository.ts"
import { anInstanceId, aTask } from "../support/builders.ts"

/** A near future in which each claim, by its token, runs for some time; and those that were interrupted. */
const nearFuture = (lasts: (token: number) => Duration.DurationInput) =>
  Effect.gen(function*() {
    const interrupted: Array<number> = []
    const run = ({ token }: Pick<ClaimedTask, "token">) =>
      Effect.onInterrupt(Effect.sleep(lasts(token)), () => Effect.sync(() => interrupted.push(token)))
    const held = yield* makeNearFuture({
      config: EngineConfig.defaults,
      clock: yield* Effect.clock,
      lead: 0,
      isShared: true,
      gate: { slots: () => 10, opensAt: () => 0, admit: () => ({ ended: () => {} }), crowded: () => {} },
      run,
      runStarted: run,
      onRoom: () => {}
    })
    return { ...held, interrupted }
  })

const claim: ClaimedTask = { ...aTask({ dueAt: 0, claimableAt: 0 }), owner: anInstanceId(), token: 91 }
const later: ClaimedTask = { ...claim, token: 93 }

describe("a Task that is held twice, because it was given up and claimed again", () => {
  it.scoped("runs under its later claim, and is known and can be interrupted once the earlier one is refused", () =>
    Effect.gen(function*() {
      const { interrupt, interrupted, known, offer, running, runningIds } = yield* nearFuture((token) =>
        token === later.token ? "1 minute" : "10 millis"
      )
      offer(later)
      yield* TestClock.adjust("5 seconds")
      offer(claim)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(running(), 1)
      assert.deepStrictEqual([runningIds(), [...known()]], [[claim.id], [claim.id]])
      yield* interrupt([claim.id])
      assert.deepStrictEqual([interrupted, runningIds()], [[later.token], []])
    }))

  it.scoped("is interrupted altogether, in whatever order its runs have begun and end", () =>
    Effect.gen(function*() {
      const { interrupt, interruptAll, interrupted, offer, runningIds } = yield* nearFuture((token) =>
        `${token} seconds`
      )
      for (const token of [1, 30, 20]) offer({ ...claim, token })
      yield* TestClock.adjust("2 seconds")
      yield* interrupt([claim.id])
      assert.deepStrictEqual(interrupted.toSorted(), [20, 30])
      for (const token of [40, 1, 50]) offer({ ...claim, token })
      yield* TestClock.adjust("2 seconds")
      yield* interruptAll
      assert.deepStrictEqual(interrupted.toSorted(), [20, 30, 40, 50])
      assert.deepStrictEqual(runningIds(), [])
    }))
})
