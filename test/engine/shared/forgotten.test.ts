import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Trigger } from "../../../src/index.ts"
import { aTarget, aTask } from "../../support/builders.ts"
import { lostReply, lostRequest } from "../linkedStore.ts"
import type { CallName, Link } from "../linkedStore.ts"
import { counter, inWorld } from "../world.ts"
import { job, other, outcomes, sound, timeline } from "./support.ts"

/** Two looks are needed, ten seconds apart. */
const found = 21_000

const once = (link: Link, name: CallName) => {
  let isFirst = true
  link.fault = (call) => {
    if (call !== name || !isFirst) return undefined
    isFirst = false
    return lostReply
  }
}

describe("what an instance owns and does not know of is found and released", () => {
  it("the reply to a claim was lost: what had not started is claimed again; what had is ended as unknown", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { begin, instants, until } = yield* timeline(world)
        const claims = counter("reaped_claims_total")
        const attempts = counter("reaped_attempts_total")
        const one = yield* world.start()
        yield* until(500)
        once(one.link, "claimDue")
        const tasks = [0, 30_000, 50_000].map((delay) =>
          aTask({ function: aTarget("job"), createdAt: begin + 500, dueAt: begin + 500 + delay })
        )
        yield* world.store.insert(tasks, undefined)
        yield* until(found + 500)
        const [due, ...ahead] = yield* Effect.forEach(tasks, ({ id }) => world.task(id))
        assert.strictEqual(due?.attempts[0]?.ended?.outcome, "unknown")
        for (const { owner, token } of ahead) {
          assert.strictEqual(owner, one.link.lease?.instanceId)
          assert.strictEqual(token, 3, "claimed, released, claimed")
        }
        assert.strictEqual(counter("reaped_claims_total"), claims + 2)
        assert.strictEqual(counter("reaped_attempts_total"), attempts + 1)
        yield* until(60_000)
        assert.deepStrictEqual(instants().slice(1), [30_500, 50_500])
        assert.deepStrictEqual(world.calls.map(({ attempt }) => attempt), [2, 1, 1])
        sound(world)
      })))

  for (const lost of [lostReply, lostRequest]) {
    it(`the ${lost.lost} of an insert was lost: its caller is told, and what was stored runs`, () =>
      inWorld({}, (world) =>
        Effect.gen(function*() {
          const { until } = yield* timeline(world)
          const one = yield* world.start()
          one.link.fault = (call) => call === "insert" || call === "insertSchedule" ? lost : undefined
          const errors = [
            yield* Effect.flip(one.scheduler.schedule(job)),
            yield* Effect.flip(one.scheduler.schedule(job, { trigger: Trigger.after("5 seconds") })),
            yield* Effect.flip(one.scheduler.repeat(other, { trigger: Trigger.fixed("10 seconds") }))
          ]
          for (const error of errors) assert.deepInclude(error, { _tag: "TaskRepositoryError", reason: "Unavailable" })
          one.link.fault = () => undefined
          yield* until(60_000)
          const jobs = world.calls.filter(({ functionName }) => functionName === "job")
          const ticks = world.calls.filter(({ functionName }) => functionName === "other")
          assert.strictEqual(jobs.length, lost === lostReply ? 2 : 0)
          if (lost === lostReply) assert.isAtLeast(ticks.length, 4)
          else assert.deepStrictEqual(ticks, [])
          sound(world)
        })))
  }

  it("the reply to a mark was lost, and the store stays away until the lease has ended: it runs again", () =>
    inWorld({}, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start()
        one.link.fault = (call) => call === "start" ? lostReply : undefined
        const { id } = yield* one.scheduler.schedule(job)
        yield* until(10)
        one.link.isAway = true
        one.link.fault = () => undefined
        yield* until(10_000)
        one.link.isAway = false
        yield* until(40_000)
        assert.deepStrictEqual(outcomes(yield* world.task(id)), ["unknown", "succeeded"])
        assert.deepStrictEqual(world.calls.map(({ attempt }) => attempt), [2])
        sound(world)
      })))

  it("and nothing that it knows of: what runs, what waits, and what its schedules wait for keep their token", () =>
    inWorld({ scripts: { job: () => Effect.sleep("80 seconds") } }, (world) =>
      Effect.gen(function*() {
        const { until } = yield* timeline(world)
        const one = yield* world.start({ horizon: 200_000, concurrency: 2 })
        yield* one.scheduler.schedule(job)
        yield* one.scheduler.schedule(other, { trigger: Trigger.after("100 seconds") })
        yield* one.scheduler.repeat(other, { trigger: Trigger.fixed("100 seconds"), initialDelay: "100 seconds" })
        yield* one.scheduler.repeat(other, { trigger: Trigger.spaced("100 seconds"), initialDelay: "100 seconds" })
        yield* until(10)
        const before = yield* world.tasks
        assert.deepStrictEqual(before.map(({ token }) => token), [1, 1, 1, 1])
        yield* until(75_000)
        assert.deepStrictEqual(yield* world.tasks, before)
        assert.isAtLeast(one.link.made.get("forgotten") ?? 0, 7)
        assert.isUndefined(one.link.made.get("reconcile"))
        sound(world)
      })))

  it("and not what is under way: a slow claim is not released while its reply may still come", () =>
    inWorld({ settings: { reconcileInterval: 3_000 } }, (world) =>
      Effect.gen(function*() {
        const { begin, instants, until } = yield* timeline(world)
        const one = yield* world.start()
        const task = aTask({ function: aTarget("job"), createdAt: begin, dueAt: begin + 20_000 })
        one.link.fault = (call) => call === "claimDue" ? { answers: 2_900 } : undefined
        yield* until(1_500)
        yield* world.store.insert([task], undefined)
        yield* until(30_000)
        assert.strictEqual((yield* world.task(task.id)).token, 1)
        assert.deepStrictEqual(instants(), [20_000])
        assert.isUndefined(one.link.made.get("reconcile"))
      })))
})
