/**
 * What is asked of schedules and functions while other processes fire: once a pause, a cancellation or an edit has
 * answered, nothing begins that it forbids, and what it lets go on does. Two processes fire; this one asks, and has the
 * endpoint, so that the instant of an answer and that of a call are by one clock.
 */
import { expect, layer } from "@effect/vitest"
import { Config, Console, Context, Effect, Either, Fiber, Layer, Logger, LogLevel } from "effect"
import type { Task, TaskFilter, TaskId, TaskSchedule, TaskScheduleId } from "../../src/index.ts"
import { isFinished, LambdaFunction, RevisionConflict, Trigger } from "../../src/index.ts"
import { pick, seeded } from "../chaos/chanceAndTime.ts"
import type { Aim, Asked, Crew, Seen, Told } from "./crew.ts"
import { firingProgram, makeAim, makeCrew, retry, sleepUntil, told } from "./crew.ts"
import type { Scheduler } from "./rig.ts"
import { agreed, until } from "./rig.ts"
import type { Arrival } from "./ScriptedEndpoint.ts"
import { now } from "./ScriptedEndpoint.ts"

/** `FAULTS_RACES=10000` for as many as it takes to be sure. */
const races = Effect.runSync(Config.withDefault(Config.integer("FAULTS_RACES"), 80))

/** Races that take place at the same time, each with a schedule of its own. */
const lanes = Math.min(races, 40)

/** How many races each lane has. */
const turns = Array.from({ length: lanes }, (_, lane) => Math.floor(races / lanes) + (lane < races % lanes ? 1 : 0))

/** Milliseconds after an answer, and after what is raced with was due, in which whatever still begins is seen. */
const held = 150

/** How soon what goes on has to be heard of. */
const goesOnWithin = "20 seconds"

const job = LambdaFunction.existing("job")
const functionOf = (lane: number) => `held-${lane}`

class Program extends Context.Tag("effect-lambda-scheduler/test/faults/operations.test/Program")<Program, string>() {
  static readonly layer = Layer.scoped(Program, firingProgram)
}

const everySecond: ReadonlyArray<Trigger.RecurringTrigger> = [
  Trigger.fixed("1 second"),
  Trigger.fixed("1 second"),
  Trigger.spaced("1 second")
]

/** What a race came to, by what it raced with. */
const kindsOf = () => ({ "before it began": 0, "while it ran": 0, "after its end": 0 })
type Kind = keyof ReturnType<typeof kindsOf>

const kindOf = (task: Task): Kind =>
  task.attempts.length === 0
    ? "before it began"
    : isFinished(task) && task.status !== "Cancelled"
    ? "after its end"
    : "while it ran"

/** What has been found wrong, and how many races there were of each kind. */
class Findings {
  readonly faults: Array<string> = []
  readonly kinds = kindsOf()
  /** Calls that came after an answer, of attempts that had begun before it. */
  late = 0

  race(task: Task | undefined): void {
    if (task !== undefined) this.kinds[kindOf(task)]++
  }

  fault(...what: ReadonlyArray<unknown>): void {
    this.faults.push(what.map((part) => typeof part === "string" ? part : JSON.stringify(part)).join(" "))
  }
}

/**
 * Asks again and again until there is an answer.
 *
 * @param every milliseconds
 */
const awaited = <A>(what: string, every: number, ask: Effect.Effect<A | undefined, unknown>): Effect.Effect<A> =>
  Effect.delay(ask, every).pipe(
    Effect.repeat({ until: (answer) => answer !== undefined }),
    Effect.timeoutFail({ duration: goesOnWithin, onTimeout: () => new Error(`Not within ${goesOnWithin}: ${what}`) }),
    Effect.orDie
  )

/** The next one by the rule that has not begun, so far ahead that it can be raced with; after a while any of them. */
const nextOf = (crew: Crew, id: TaskScheduleId, ahead: number): Effect.Effect<Task> => {
  const askedAt = now()
  return awaited(
    `${id} has something to come`,
    100,
    Effect.map(crew.asker.list({ scheduleId: id, status: ["Scheduled"] }, { limit: 3 }), ({ items }) => {
      // Late marks, on a slow machine, store what follows late.
      const from = now() + ahead - (now() - askedAt) / 4
      return items.find((task) => task.attempts.length === 0 && task.dueAt >= from)
    })
  )
}

/** Waits until something has been heard of a lane. */
const heard = (crew: Crew, lane: string, isIt: (arrival: Arrival) => boolean): Effect.Effect<unknown> =>
  awaited(
    `${lane} goes on`,
    10,
    Effect.sync(() => {
      const latest = crew.latest(lane)
      return latest !== undefined && isIt(latest) ? latest : undefined
    })
  )

const attemptsIn = (seen: Seen, id: TaskId) => seen.get(id)?.attempts.length ?? 0

/** Those of a later look that were within the reach of an earlier one. */
const newerThan = (earlier: Seen, later: Seen) => {
  const oldest = [...earlier.keys()].reduce((least, id) => id < least ? id : least)
  return [...later].filter(([id]) => id >= oldest)
}

/** All lanes at once; their schedules end with them. */
const inLanes = (lane: (index: number) => Effect.Effect<void>) =>
  Effect.forEach(turns, (_, index) => lane(index), { concurrency: "unbounded", discard: true })

const repeatIn = (crew: Crew, lane: string, index: number, chance: () => number, fn = job) =>
  Effect.orDie(crew.asker.repeat(fn, {
    trigger: everySecond[index % everySecond.length] as Trigger.RecurringTrigger,
    initialDelay: 500 + pick(chance, 1_000),
    payload: { lane } satisfies Told,
    retry
  }))

/** The store and the endpoint agree, no instant was run twice; of many races, both processes have fired, and they were of all kinds. */
const conclude = (crew: Crew, name: string, findings: Findings) =>
  Effect.gen(function*() {
    yield* until("all have ended", crew.asker.list({ status: ["Scheduled", "Running"] }, { limit: 1 }), ({ items }) =>
      items.length === 0)
    yield* Effect.sleep("100 millis")
    expect(crew.dead()).toEqual([])
    const tasks = yield* agreed(crew.asker, crew.endpoint)
    const instants = new Set<string>()
    for (const { id, nominalAt, scheduleId, status } of tasks) {
      if (scheduleId === undefined || status === "Skipped") {
        continue
      }
      const instant = `${scheduleId} ${nominalAt}`
      if (instants.has(instant)) {
        findings.fault(id, "is the second of its instant")
      }
      instants.add(instant)
    }
    yield* Console.log(`${name}: ${JSON.stringify({ ...findings.kinds, late: findings.late, ...crew.firedBy() })}`)
    expect(findings.faults.slice(0, 10)).toEqual([])
    // Of a few races one process, or one kind, may have had none.
    const seen = races < 1_000 ? {} : { ...findings.kinds, ...crew.firedBy() }
    for (const [what, count] of Object.entries(seen)) {
      expect(count, what).toBeGreaterThan(0)
    }
    expect(findings.kinds["before it began"], "before it began").toBeGreaterThan(0)
    expect(findings.kinds["while it ran"] + findings.kinds["after its end"], "later").toBeGreaterThan(0)
    return tasks
  })

/** Calls that came between two instants. */
const callsBetween = (crew: Crew, from: number, to: number) => {
  const calls: Array<Arrival> = []
  const { log } = crew.endpoint
  for (let index = log.length - 1; index >= 0; index--) {
    const call = log[index] as Arrival
    if (call.at < from) break
    if (call.at < to) calls.push(call)
  }
  return calls
}

layer(Program.layer, { excludeTestServices: true, timeout: "60 seconds" })("while two other processes fire", (it) => {
  const test = (
    name: string,
    body: (crew: Crew, findings: Findings, chance: () => number, aim: Aim) => Effect.Effect<void>
  ) =>
    it.scoped(
      `${races} times ${name}`,
      () =>
        Effect.gen(function*() {
          const crew = yield* makeCrew(yield* Program, ["job", ...turns.map((_, lane) => functionOf(lane))])
          const chance = seeded(name)
          yield* body(crew, new Findings(), chance, makeAim(chance))
        }).pipe(Logger.withMinimumLogLevel(LogLevel.Error)),
      60_000 + races * 300
    )

  test(
    "a schedule is paused: no occurrence begins until it is resumed, and then they go on",
    (crew, findings, chance, aim) => {
      const { asker, look } = crew
      const race = (lane: string, { id }: TaskSchedule) =>
        Effect.gen(function*() {
          const next = yield* nextOf(crew, id, aim.ahead())
          yield* sleepUntil(next.dueAt + aim.offset())
          const { answeredAt } = yield* aim.timed(asker.pauseSchedule(id))
          const seen = yield* look({ scheduleId: id }, 8)
          findings.race(seen.get(next.id))
          aim.learn(seen)
          yield* sleepUntil(Math.max(now(), next.dueAt) + held)
          for (const [taskId, task] of newerThan(seen, yield* look({ scheduleId: id }, 8))) {
            if (attemptsIn(seen, taskId) === 0 && task.attempts.length > 0) {
              findings.fault(lane, "began in the pause:", task)
            }
          }
          const resumedAt = now()
          for (const { taskId } of callsBetween(crew, answeredAt, resumedAt)) {
            const before = seen.get(taskId as TaskId)
            if (before?.attempts.length === 0) {
              findings.fault(lane, "was called in the pause:", before)
            } else if (before !== undefined) {
              findings.late++
            }
          }
          yield* asker.resumeSchedule(id)
          yield* heard(crew, lane, ({ at }) => at > resumedAt)
        })
      return Effect.gen(function*() {
        yield* inLanes((index) =>
          Effect.gen(function*() {
            const lane = `pause ${index}`
            const schedule = yield* repeatIn(crew, lane, index, chance)
            yield* Effect.replicateEffect(race(lane, schedule), turns[index] ?? 0, { discard: true })
            yield* asker.cancelSchedule(schedule.id)
          }).pipe(Effect.orDie)
        )
        yield* conclude(crew, "pauseSchedule", findings)
      })
    }
  )

  test(
    "a function is paused, or all: nothing begins until that is lifted, and then all of it does",
    (crew, findings, chance, aim) => {
      const { asker, done, look } = crew
      const race = (lane: string, index: number, schedule: TaskSchedule) =>
        Effect.gen(function*() {
          // One lane pauses them all.
          const name = index === 0 ? undefined : functionOf(index)
          const fn = LambdaFunction.existing(functionOf(index))
          const filter: TaskFilter = name === undefined ? {} : { functionName: name }
          const newest = name === undefined ? 10 * lanes : 16
          const untilRetry = 300
          const next = yield* nextOf(crew, schedule.id, Math.max(aim.ahead(), untilRetry + 100))
          const ask = (trigger: Parameters<Scheduler["schedule"]>[1]) =>
            asker.schedule(fn, { retry, ...trigger, payload: { lane, ...trigger?.payload as object } })
          const made = [
            yield* ask({ trigger: Trigger.at(next.dueAt) }),
            // Its second attempt is what is due then.
            yield* ask({
              trigger: Trigger.at(next.dueAt - untilRetry),
              payload: { fails: true },
              retry: { ...retry, baseDelay: untilRetry }
            })
          ]
          // Starts by being claimed: nobody holds it before.
          const sudden = yield* Effect.fork(
            Effect.zipRight(sleepUntil(next.dueAt - 20 + pick(chance, 20)), ask({}))
          )
          yield* sleepUntil(next.dueAt + aim.offset())
          const { answeredAt } = yield* aim.timed(asker.pauses.set(name))
          const seen = yield* look(filter, newest)
          for (const { id } of [next, ...made]) findings.race(seen.get(id))
          aim.learn(seen)
          made.push(yield* Fiber.join(sudden))
          yield* sleepUntil(Math.max(now(), next.dueAt) + held)
          for (const [id, task] of newerThan(seen, yield* look(filter, newest))) {
            if (task.attempts.length > attemptsIn(seen, id)) findings.fault(lane, "began in the pause:", task)
          }
          const liftedAt = now()
          for (const { attempt, taskId } of callsBetween(crew, answeredAt, liftedAt)) {
            const before = seen.get(taskId as TaskId)
            if (before !== undefined && attempt > before.attempts.length) {
              findings.fault(lane, "was called in the pause:", before)
            } else if (before !== undefined) {
              findings.late++
            }
          }
          yield* asker.pauses.lift(name)
          yield* heard(crew, lane, ({ at }) => at > liftedAt && made.every(({ id }) => done.has(id)))
        })
      return Effect.gen(function*() {
        yield* inLanes((index) =>
          Effect.gen(function*() {
            const lane = `function ${index}`
            const fn = LambdaFunction.existing(functionOf(index))
            // Start marks under a cap go another way.
            if (index % 4 === 1) yield* asker.limits.set(functionOf(index), { concurrency: 20 })
            const schedule = yield* repeatIn(crew, lane, index, chance, fn)
            yield* Effect.replicateEffect(race(lane, index, schedule), turns[index] ?? 0, { discard: true })
            yield* asker.cancelSchedule(schedule.id)
          }).pipe(Effect.orDie)
        )
        yield* conclude(crew, "pauses.set", findings)
      })
    }
  )

  test("a schedule is cancelled: nothing of it begins any more, nor is tried again", (crew, findings, chance, aim) => {
    const { asker, look } = crew
    const race = (lane: string, index: number) =>
      Effect.gen(function*() {
        const due = Math.ceil(now() + aim.ahead() + 100 + pick(chance, 200))
        const { id } = yield* asker.repeat(job, {
          trigger: everySecond[index % everySecond.length] as Trigger.RecurringTrigger,
          startAt: due,
          payload: { lane } satisfies Told,
          retry
        })
        yield* sleepUntil(due + aim.offset())
        const { answeredAt } = yield* aim.timed(asker.cancelSchedule(id))
        const seen = yield* look({ scheduleId: id }, 8)
        aim.learn(seen)
        for (const task of seen.values()) {
          if (!isFinished(task)) findings.fault(lane, "goes on although cancelled:", task)
          if (task.nominalAt === due) findings.race(task)
        }
        return { answeredAt, id, lane, seen }
      })
    return Effect.gen(function*() {
      const raced: Array<Effect.Effect.Success<ReturnType<typeof race>>> = []
      yield* inLanes((index) =>
        race(`cancel ${index}`, index).pipe(
          Effect.tap((one) => Effect.sync(() => raced.push(one))),
          Effect.orDie,
          (one) => Effect.replicateEffect(one, turns[index] ?? 0, { discard: true })
        )
      )
      const stored = new Map<TaskScheduleId, Array<Task>>()
      for (const task of yield* conclude(crew, "cancelSchedule", findings)) {
        if (task.scheduleId !== undefined) stored.set(task.scheduleId, [...stored.get(task.scheduleId) ?? [], task])
      }
      // As they were when it had answered, whatever was answered later.
      for (const { id, seen } of raced) expect(stored.get(id)).toEqual([...seen.values()])
      for (const { answeredAt, lane, seen } of raced) {
        for (const { at, attempt, taskId } of crew.endpoint.log) {
          const before = at > answeredAt ? seen.get(taskId as TaskId) : undefined
          if (before !== undefined && attempt > before.attempts.length) {
            findings.fault(lane, "was called although cancelled:", before)
          }
        }
      }
      expect(findings.faults).toEqual([])
    })
  })

  test("a schedule is edited: what had not begun runs as it says now, and of two edits of one revision one holds", (
    crew,
    findings,
    chance,
    aim
  ) => {
    const { asker, look, rival } = crew
    /** An edit that has answered, and what had begun by then. */
    interface Edited extends Pick<Asked<unknown>, "calledAt" | "answeredAt"> {
      readonly by: string
      readonly begun: ReadonlySet<TaskId>
    }
    const editBy = (scheduler: Scheduler, { id, revision }: TaskSchedule, payload: Told, isGuarded: boolean) =>
      Effect.either(scheduler.editSchedule(id, { payload }, isGuarded ? { revision } : undefined))

    /** One edit, or two at once that were made for one revision. */
    const edit = (schedule: TaskSchedule, payload: Told) =>
      Effect.gen(function*() {
        const both = pick(chance, 3) === 0
        const answers = yield* Effect.all(
          [
            editBy(asker, schedule, { ...payload, by: "asker" }, both),
            ...(both ? [editBy(rival, schedule, { ...payload, by: "rival" }, true)] : [])
          ],
          { concurrency: "unbounded" }
        )
        const [winner, ...others] = answers.flatMap((answer) => Either.isRight(answer) ? [answer.right] : [])
        const conflicts = answers.filter((answer) => Either.isLeft(answer) && answer.left instanceof RevisionConflict)
        if (winner === undefined || others.length > 0 || conflicts.length !== answers.length - 1) {
          findings.fault(payload.lane, "was edited otherwise than once:", answers)
        }
        return winner ?? schedule
      })

    const race = (lane: string, schedule: TaskSchedule, edits: Array<Edited>) =>
      Effect.gen(function*() {
        const next = yield* nextOf(crew, schedule.id, aim.ahead())
        yield* sleepUntil(next.dueAt + aim.offset())
        const number = edits.length
        const { answer, answeredAt, calledAt } = yield* aim.timed(edit(schedule, { lane, edit: number }))
        const seen = yield* look({ scheduleId: schedule.id }, 8)
        findings.race(seen.get(next.id))
        aim.learn(seen)
        for (const task of seen.values()) {
          if (task.attempts.length === 0 && !isFinished(task) && task.payload !== answer.payload) {
            findings.fault(lane, "waits with what was there before:", task)
          }
        }
        const begun = new Set([...seen.values()].flatMap(({ attempts, id }) => attempts.length > 0 ? [id] : []))
        edits.push({ answeredAt, begun, by: told(answer).by ?? "", calledAt })
        yield* heard(crew, lane, (arrival) => (told(arrival).edit ?? 0) >= number)
        return answer
      })

    /** A call says what was current when it was marked. */
    const judge = (edits: ReadonlyArray<Edited>, arrival: Arrival) => {
      const { by = "", edit = 0, lane } = told(arrival)
      const its = edits[edit]
      if (its === undefined || its.by !== by) {
        return findings.fault(lane, "was called by an edit that did not hold:", by, edit)
      }
      if (its.calledAt > arrival.at) findings.fault(lane, "was called by an edit that came later:", edit)
      edits.forEach(({ answeredAt, begun }, later) => {
        if (later <= edit || answeredAt > arrival.at) return
        if (begun.has(arrival.taskId as TaskId)) findings.late++
        else findings.fault(lane, `was called as of edit ${edit}, after edit ${later} had answered:`, arrival.taskId)
      })
    }

    return Effect.gen(function*() {
      const editsOf = new Map<string, ReadonlyArray<Edited>>()
      yield* inLanes((index) =>
        Effect.gen(function*() {
          const lane = `edit ${index}`
          let schedule = yield* repeatIn(crew, lane, index, chance)
          const edits: Array<Edited> = [{ answeredAt: now(), begun: new Set(), by: "", calledAt: -Infinity }]
          editsOf.set(lane, edits)
          for (let turn = 0; turn < (turns[index] ?? 0); turn++) schedule = yield* race(lane, schedule, edits)
          yield* asker.cancelSchedule(schedule.id)
        }).pipe(Effect.orDie)
      )
      for (const arrival of crew.endpoint.log) {
        const edits = editsOf.get(told(arrival).lane)
        if (edits !== undefined) judge(edits, arrival)
      }
      yield* conclude(crew, "editSchedule", findings)
    })
  })
})
