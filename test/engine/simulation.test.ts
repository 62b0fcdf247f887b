/**
 * Random work, faults and cancels in virtual time. The oracle is what the functions themselves have seen. A failure
 * names its seed: `SEED=<n> npx vitest run test/engine/simulation.test.ts` repeats it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Config, Effect, Layer, Option, Random } from "effect"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import type { Task, TaskId, TaskSchedule, TaskScheduleId } from "../../src/index.ts"
import { EngineConfig, LambdaFunction, LambdaScheduler, spentAttempts, Trigger } from "../../src/index.ts"
import type { Script } from "../../src/testing/index.ts"
import { ScriptedLambdaClient, VirtualClock } from "../../src/testing/index.ts"

interface Seen {
  readonly taskId: TaskId
  readonly attempt: number
  readonly from: number
  readonly stubborn: boolean
  to: number
}

const names = ["a", "b", "c"] as const
const functions = names.map((name) => LambdaFunction.existing(name))

/** One world: 80 random steps, then a quiet hour. */
const world = (seed: number) => {
  const random = Random.make(seed)
  const draw = (below: number) => random.nextIntBetween(0, below).pipe(Effect.runSync)
  const pick = <A>(items: ReadonlyArray<A>): A | undefined => items[draw(Math.max(1, items.length))]
  const seen: Array<Seen> = []
  let quiet = false

  const script: Script = ({ request }) =>
    Effect.gen(function*() {
      const stubborn = !quiet && draw(10) === 0
      const from = yield* Clock.currentTimeMillis
      const call: Seen = {
        taskId: request.clientContext?.["taskId"] as TaskId,
        attempt: Number(request.clientContext?.["attempt"]),
        from,
        stubborn,
        to: Infinity
      }
      seen.push(call)
      const duration = quiet ? 0 : draw(3) === 0 ? 0 : draw(8_000)
      const sleep = duration === 0 ? Effect.void : Effect.sleep(duration)
      yield* (stubborn ? Effect.uninterruptible(sleep) : sleep).pipe(
        Effect.ensuring(Effect.map(Clock.currentTimeMillis, (now) => {
          call.to = now
        }))
      )
      if (quiet) return "fine"
      const reason = pick(
        ["FunctionError", "Throttled", "NoAnswer", "NotFound", "Unreachable", "NotReady", "x", "x", "x", "x"] as const
      )
      return reason === undefined || reason === "x" ? "fine" : yield* ScriptedLambdaClient.fail(reason)
    })

  const roomy = draw(2) === 0
  const settings = {
    shutdownGrace: 0,
    // Where everything is to start at once nothing may be held back.
    ...(roomy
      ? {
        breaker: { ...EngineConfig.defaults.breaker, minimumCalls: Infinity },
        limiter: { least: 1, most: 0 }
      }
      : {}),
    concurrency: roomy ? 1_000 : 1 + draw(4),
    nearFutureCapacity: roomy ? 10_000 : draw(12),
    horizon: draw(60_000),
    retentionCount: 1_000_000,
    retentionAge: 365 * 86_400_000
  }

  const program = Effect.gen(function*() {
    const scheduler = yield* LambdaScheduler
    const acknowledged = new Set<TaskId>()
    const schedules = new Set<TaskScheduleId>()
    const cancelledAt = new Map<TaskId, number>()

    const all = Effect.gen(function*() {
      const found: Array<Task> = []
      let cursor: string | undefined
      do {
        const page = yield* scheduler.list({}, { cursor })
        found.push(...page.items)
        cursor = page.cursor
      } while (cursor !== undefined)
      return found
    })

    const noteCancelled = (tasks: ReadonlyArray<Task>) =>
      tasks.forEach((task) => cancelledAt.set(task.id, seen.filter(({ taskId }) => taskId === task.id).length))

    const retry = () => ({ maxAttempts: 1 + draw(4), baseDelay: draw(2) * draw(30_000) })
    const steps: ReadonlyArray<() => Effect.Effect<unknown, unknown>> = [
      () => Effect.sleep(draw(5_000)),
      () => Effect.sleep(1 + draw(100_000)),
      () =>
        Effect.map(
          scheduler.schedule(pick(functions) ?? assert.fail(), {
            trigger: pick([Trigger.now, Trigger.after(draw(90_000)), Trigger.at(draw(2) * 1_000)]) ?? Trigger.now,
            retry: retry()
          }),
          (task) => acknowledged.add(task.id)
        ),
      () =>
        Effect.map(
          scheduler.repeat(pick(functions) ?? assert.fail(), {
            trigger: (draw(2) === 0 ? Trigger.spaced : Trigger.fixed)(1_000 + draw(20_000)),
            initialDelay: draw(2) * draw(30_000),
            maxRuns: pick([undefined, 1, 2, 1 + draw(20)]),
            retry: retry()
          }),
          (schedule) => schedules.add(schedule.id)
        ),
      () =>
        Effect.gen(function*() {
          const live = (yield* scheduler.list({ status: ["Scheduled", "Running"] })).items
          const task = pick(live)
          if (task === undefined) return
          yield* Effect.either(scheduler.cancel(task.id))
          const now = yield* scheduler.get(task.id)
          if (now.status === "Cancelled") noteCancelled([now])
        }),
      () =>
        Effect.gen(function*() {
          const id = pick([...schedules])
          if (id === undefined || draw(3) > 0) return
          yield* scheduler.cancelSchedule(id)
          noteCancelled((yield* scheduler.list({ scheduleId: id, status: ["Cancelled"] })).items)
        }),
      () =>
        draw(6) > 0
          ? Effect.void
          : Effect.map(scheduler.cancelFunction(pick(names) ?? "a"), (work) => noteCancelled(work.tasks))
    ]

    for (let step = 0; step < 80; step++) yield* (pick(steps) ?? assert.fail())()

    // The faults stop. An hour on, schedules still recur as they should.
    quiet = true
    yield* Effect.sleep("1 hour")
    const now = yield* Clock.currentTimeMillis
    const tasks = yield* all
    const byId = new Map(tasks.map((task) => [task.id, task]))
    const rules = new Map<TaskScheduleId, TaskSchedule>()
    for (const id of schedules) rules.set(id, yield* scheduler.getSchedule(id))

    const callsOf = new Map<TaskId, Array<Seen>>()
    for (const call of seen) callsOf.set(call.taskId, [...callsOf.get(call.taskId) ?? [], call])

    for (const id of acknowledged) {
      const task = byId.get(id)
      assert.isDefined(task, `I01: Task ${id} is lost`)
      assert.notInclude(["Scheduled", "Running"], task?.status, `I03: Task ${id} is still live`)
    }
    for (const task of tasks) {
      const known = task.scheduleId === undefined ? acknowledged.has(task.id) : schedules.has(task.scheduleId)
      assert.isTrue(known, `I02: nobody asked for ${task.id}`)
      const calls = callsOf.get(task.id) ?? []
      const sent = task.attempts.filter((attempt) => calls.some((call) => call.attempt === attempt.number))
      assert.strictEqual(sent.length, calls.length, `I07: an attempt of ${task.id} was sent twice, or never recorded`)
      const { maxAttempts } = task.retry
      assert.isAtMost(spentAttempts(task), maxAttempts, `I12: ${task.id}`)
      const successes = task.attempts.filter(({ ended }) => ended?.outcome === "succeeded").length
      assert.strictEqual(successes, task.status === "Succeeded" ? 1 : 0, `I04: ${task.id}`)
      for (const [index, attempt] of task.attempts.entries()) {
        assert.strictEqual(attempt.number, index + 1, `I19: ${task.id}`)
        assert.isDefined(attempt.ended, `I03: attempt ${attempt.number} of ${task.id} never ended`)
      }
      const [first] = calls
      const due = Math.max(task.nominalAt, task.createdAt)
      if (first !== undefined) {
        assert.isAtLeast(first.from, task.nominalAt, `I05: ${task.id} was early`)
        if (roomy && first.attempt === 1) assert.strictEqual(first.from, due, `I06: ${task.id} was late`)
      }
      const before = cancelledAt.get(task.id)
      if (before !== undefined) {
        assert.strictEqual(task.status, "Cancelled", `I10: ${task.id}`)
        assert.strictEqual(calls.length, before, `I10: ${task.id} was sent after its cancel had answered`)
      }
    }
    for (const [id, rule] of rules) {
      const own = tasks.filter((task) => task.scheduleId === id).sort((left, right) => left.nominalAt - right.nominalAt)
      const live = own.filter((task) => task.status === "Scheduled" || task.status === "Running")
      assert.strictEqual(live.length, rule.status === "Active" ? 1 : 0, `I03: schedule ${id} is ${rule.status}`)
      if (rule.maxRuns !== undefined) assert.isAtMost(rule.runs, rule.maxRuns, id)
      if (rule.status === "Completed") assert.strictEqual(rule.runs, rule.maxRuns, id)
      const { recurrence } = rule
      if ("timeZone" in recurrence) return assert.fail("this simulation has intervals only")
      if (rule.status === "Active") {
        assert.isAtMost((live[0]?.nominalAt ?? Infinity) - now, recurrence.interval, `I03: schedule ${id} stands`)
      }
      for (const [index, task] of own.entries()) {
        const next = own[index + 1]
        if (recurrence._tag === "Fixed") {
          const { anchor, interval } = recurrence
          assert.strictEqual((task.nominalAt - anchor) % interval, 0, `I21: ${task.id} is off the grid`)
          if (next !== undefined) assert.isAbove(next.nominalAt, task.nominalAt, `I21: ${task.id}`)
        } else if (next !== undefined && "finishedAt" in task) {
          const end = task.status === "Cancelled" ? Math.max(task.finishedAt, task.nominalAt) : task.finishedAt
          assert.strictEqual(next.nominalAt, end + recurrence.interval, `I22: ${next.id}`)
        }
      }
      if (recurrence._tag === "Fixed") {
        // A record of what was passed over may stand for many.
        const expected = own.reduce((sum, task) => sum + (task.status === "Skipped" ? task.range?.count ?? 1 : 1), 0)
        const last = own.at(-1)
        const end = last?.status === "Skipped" && last.range !== undefined ? last.range.last : last?.nominalAt ?? 0
        const spread = end - (own[0]?.nominalAt ?? 0)
        assert.strictEqual(spread / recurrence.interval + 1, expected, `I24: ${id} lost an occurrence`)
      }
      const calls = seen
        .filter((call) => !call.stubborn && byId.get(call.taskId)?.scheduleId === id)
        .sort((left, right) => left.from - right.from)
      for (const [index, call] of calls.entries()) {
        const next = calls[index + 1]
        if (next !== undefined) assert.isAtMost(call.to, next.from, `I08: two runs of ${id} at once`)
      }
    }
    return { invocations: seen.length, cancelled: cancelledAt.size, schedules: schedules.size }
  })

  const Live = LambdaScheduler.layer.pipe(
    Layer.provide(Layer.merge(
      MemoryTaskRepository.layer,
      ScriptedLambdaClient.layer(Object.fromEntries(names.map((name) => [name, script])))
    )),
    Layer.provide(EngineConfig.layer(settings)),
    Layer.provideMerge(VirtualClock.layer)
  )
  return program.pipe(Effect.provide(Live), Effect.withRandom(random))
}

const asked = Effect.runSync(Config.option(Config.integer("SEED")))
const seeds = Option.match(asked, {
  onNone: () => Array.from({ length: 12 }, (_, index) => 1_000 + index),
  onSome: (seed) => [seed]
})

describe("simulation", () => {
  for (const seed of seeds) {
    it(`seed ${seed}`, () =>
      Effect.runPromise(Effect.map(world(seed), ({ invocations }) => {
        assert.isAbove(invocations, 0)
      })))
  }
})
