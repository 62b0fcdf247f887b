/** Tells a story to a scheduler in virtual time, and checks after each of its commands what must hold. */
import { assert } from "@effect/vitest"
import { Clock, Effect, Either, Random } from "effect"
import { TaskId, TaskScheduleId, uuid7 } from "../../../../src/domain/Ids.ts"
import { EngineConfig, InvocationError, LambdaFunction, Trigger } from "../../../../src/index.ts"
import type {
  BackfillId,
  EditOptions,
  EngineSettings,
  EpochMillis,
  RepeatOptions,
  Task,
  TaskSchedule
} from "../../../../src/index.ts"
import type { Script, ScriptedCall } from "../../../../src/testing/index.ts"
import { iso, onStage } from "../stage.ts"
import type { Instance, Stage, StoreName } from "../stage.ts"
import type { Call, Seen } from "./checks.ts"
import { check, notePause, payloadOf, told } from "./checks.ts"
import type { Command, CommandOf, RuleSpec, Story } from "./commands.ts"
import { day, hour, minute, second } from "./commands.ts"
import type { ScheduleModel } from "./model.ts"
import { endPause, eraOf, instantsIn, isByRule, isLive, isNamed, laneOf, Model, pauseAt, policyOf, ruleOf, startPause } from "./model.ts"

const begin = "2027-03-27T20:10:00.137Z"
const functions = ["a", "b"] as const
const nameOf = (fn: number | undefined): string => fn === undefined ? "" : functions[fn] as string
const handle = (name: string) => LambdaFunction.existing(name, { timeout: "15 minutes" })

/** Of a heartbeat: by then an instance knows that its lease is gone. */
const heartbeat = hour
const settings: Partial<EngineSettings> = {
  // What is marked has begun: it is told when it is sent.
  startLead: 0,
  heartbeatInterval: heartbeat,
  cancelPollInterval: day,
  deadLetterAge: 4_000 * day,
  // Nothing is held back.
  minConcurrency: 1_000,
  breaker: { ...EngineConfig.defaults.breaker, minimumCalls: Infinity },
  limiter: { least: 1, most: 0 }
}

/** More occurrences than this do not fall into one advance. */
const mostInOneAdvance = 30
const mostSchedules = 5

/** A number of [0, 1) for a text: the same function does the same on every store. */
const chanceOf = (text: string): number => Effect.runSync(Random.make(text).next)

/** How long a function takes and what comes of it, by the seed and by what it is called for. */
const behaviour = (seed: number, what: string): { readonly millis: number; readonly fails: "FunctionError" | "Rejected" | undefined } => {
  const [how, long, outcome] = ["how", "long", "outcome"].map((part) => chanceOf(`${seed} ${what} ${part}`)) as [number, number, number]
  const millis = how < 0.35 ? 3 * second * long : how < 0.65 ? 4 * minute * long : 5 * minute + 9 * minute * long
  return {
    millis: Math.ceil(millis),
    fails: outcome < 0.25 ? "FunctionError" : outcome < 0.32 ? "Rejected" : undefined
  }
}

/** What happened, without ids: the same on every store. */
export interface History {
  readonly answers: ReadonlyArray<string>
  readonly schedules: ReadonlyArray<unknown>
  readonly tasks: ReadonlyArray<unknown>
  readonly calls: ReadonlyArray<unknown>
}

export interface Telling {
  /** Whether leases are lost, or only handed back. */
  readonly losesLeases: boolean
  readonly note: (what: string) => void
}

const triggerOf = (spec: RuleSpec, now: EpochMillis): Pick<RepeatOptions, "trigger" | "startAt" | "initialDelay"> => {
  switch (spec._tag) {
    case "Cron":
      return { trigger: Trigger.cron(spec.expression, { timeZone: spec.timeZone }) }
    case "Fixed":
      return { trigger: Trigger.fixed(spec.interval), ...(spec.begins === 0 ? {} : { startAt: now + spec.begins }) }
    case "Spaced":
      return { trigger: Trigger.spaced(spec.interval), ...(spec.delay === 0 ? {} : { initialDelay: spec.delay }) }
  }
}

const defined = <A extends object>(fields: A): A =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

export const tell = (store: StoreName, { commands, creates, seed }: Story, { losesLeases, note }: Telling): Promise<History> => {
  const calls: Array<Call> = []
  let by = 0
  let quiet = false
  /** For whoever has to find out why it failed. */
  const trace: Array<string> = []

  const script: Script = ({ at, functionName, payload, request }: ScriptedCall) =>
    Effect.suspend(() => {
      const context = request.clientContext as { taskId: TaskId; attempt: number; idempotencyKey: string }
      const nominalAt = context.idempotencyKey.split(":")[1]
      const call: Call = {
        taskId: context.taskId,
        attempt: context.attempt,
        fn: functionName,
        payload,
        at,
        endedAt: Infinity,
        outcome: "running",
        by
      }
      calls.push(call)
      const { fails, millis } = quiet
        ? { fails: undefined, millis: 0 }
        : behaviour(seed, `${payload.schedule} ${nominalAt} ${context.attempt}`)
      const answer = fails === undefined
        ? Effect.succeed("fine")
        : Effect.fail(new InvocationError({ reason: fails, message: "scripted" }))
      return Effect.zipRight(Effect.sleep(millis), answer).pipe(
        Effect.onExit((exit) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            call.endedAt = now
            call.outcome = exit._tag === "Success" ? "succeeded" : exit.cause._tag === "Fail" ? "failed" : "interrupted"
          })
        )
      )
    })

  const body = (stage: Stage) =>
    Effect.gen(function*() {
      const model = new Model()
      const answers: Array<string> = []
      let instance: Instance = yield* stage.start(settings)
      let ids = 0
      let seen: Seen = { now: 0, tasks: new Map(), schedules: new Map(), calls: [], by }

      const newId = Effect.map(Clock.currentTimeMillis, (now) => uuid7(now, 4_000, 0, ++ids))
      const scheduler = () => instance.scheduler

      const look = Effect.gen(function*() {
        const tasks = new Map<TaskId, Task>()
        let cursor: string | undefined
        do {
          const page = yield* stage.store.list({}, { limit: 1_000, cursor })
          for (const task of page.items) tasks.set(task.id, task)
          cursor = page.cursor
        } while (cursor !== undefined)
        const { items } = yield* stage.store.listSchedules({}, { limit: 1_000 })
        const now = yield* Clock.currentTimeMillis
        return {
          now,
          tasks,
          schedules: new Map(items.map((schedule) => [schedule.id, schedule])),
          calls: calls.map((call) => ({ ...call })),
          by
        } satisfies Seen
      })

      /** Nothing more happens at this instant, and the next command comes at one that no rule names. */
      const settle = Effect.gen(function*() {
        yield* Effect.sleep(1)
        for (;;) {
          const now = yield* Clock.currentTimeMillis
          const isMet = model.schedules.some((schedule) => {
            const { rule } = eraOf(schedule)
            return rule._tag === "Grid" && isNamed(rule, now)
          })
          if (!isMet) return
          yield* Effect.sleep(1)
        }
      })

      const observe = Effect.gen(function*() {
        yield* settle
        const before = seen
        seen = yield* look
        check({ model, before, seen, note })
      })

      const pick = <A>(from: ReadonlyArray<A>, which: number): A | undefined => from[which % Math.max(1, from.length)]

      const isActive = (schedule: ScheduleModel) => seen.schedules.get(schedule.id)?.status === "Active"
      /** Mostly one that goes on. */
      const pickSchedule = (which: number): ScheduleModel =>
        (which % 9 === 8 ? undefined : pick(model.schedules.filter(isActive), which)) ??
          pick(model.schedules, which) ?? assert.fail("there is none")

      /** In an order that does not depend on ids. */
      const orderOf = ({ attempts, createdAt, id, nominalAt, origin, scheduleId }: Task): string => {
        const manual = model.manual.get(id)?.number
        const backfill = model.backfills.find(({ id }) => origin === `backfill:${id}`)?.number
        const kind = manual === undefined ? backfill === undefined ? "r" : `b${backfill}` : `m${manual}`
        return `${model.of(scheduleId)?.number} ${nominalAt} ${kind} ${createdAt} ${attempts.length}`
      }
      const inOrder = (tasks: Iterable<Task>): ReadonlyArray<Task> =>
        [...tasks].map((task) => [orderOf(task), task] as const).sort(([one], [other]) => one < other ? -1 : 1)
          .map(([, task]) => task)

      const stored = (schedule: ScheduleModel): TaskSchedule | undefined => seen.schedules.get(schedule.id)

      /** How a change of a schedule must be answered, whatever it is. */
      const refusalOf = (schedule: ScheduleModel): string | undefined => {
        if (schedule.ended?.removed === true) return "TaskScheduleNotFound"
        return stored(schedule)?.status === "Active" ? undefined : "TaskScheduleEnded"
      }

      /** What an answer is called, and that a refused one has changed nothing. */
      const answered = <A>(answer: Either.Either<A, { readonly _tag: string }>, expected: string | undefined) =>
        Effect.gen(function*() {
          const tag = Either.match(answer, { onLeft: ({ _tag }) => _tag, onRight: () => undefined })
          assert.strictEqual(tag, expected, `answered ${JSON.stringify(answer)}`)
          if (tag === undefined) return
          answers.push(tag)
          note(`refused: ${tag}`)
          const after = yield* look
          assert.deepStrictEqual(after.tasks, seen.tasks, "refused, and yet it has changed something")
          assert.deepStrictEqual(after.schedules, seen.schedules, "refused, and yet it has changed something")
        })

      const startEra = (schedule: ScheduleModel, spec: RuleSpec, now: EpochMillis) => {
        const { first, rule } = ruleOf(spec, now)
        const before = schedule.eras.at(-1)
        if (before !== undefined) {
          before.upTo = stored(schedule)?.cursor ?? assert.fail("not stored")
          if (before.rule._tag === "Grid" && before.upTo < now) note("instants without a record: another rule came")
        }
        schedule.eras.push({ since: now, rule, first, upTo: Infinity })
      }

      const steps: { readonly [Tag in Command["_tag"]]: (command: CommandOf<Tag>) => Effect.Effect<unknown, unknown> } = {
        create: Effect.fnUntraced(function*(command) {
          if (model.schedules.length >= mostSchedules) return
          const now = yield* Clock.currentTimeMillis
          const id = TaskScheduleId.make(yield* newId)
          const schedule: ScheduleModel = {
            number: model.schedules.length,
            id,
            eras: [],
            fn: nameOf(command.fn),
            overlap: command.overlap ?? "skip",
            catchUp: command.catchUp ?? "latest",
            maxRuns: command.maxRuns,
            pauseAfter: command.pauseAfter,
            revision: 1,
            version: 1,
            pauses: [],
            blurred: [],
            failures: 0,
            policies: new Set([policyOf(command.overlap ?? "skip")]),
            ended: undefined
          }
          startEra(schedule, command.rule, now)
          const options = defined({
            ...triggerOf(command.rule, now),
            id,
            payload: payloadOf(schedule),
            overlap: command.overlap,
            catchUp: command.catchUp,
            maxRuns: command.maxRuns,
            pauseAfterFailures: command.pauseAfter,
            retry: { maxAttempts: command.attempts, backoff: "fixed", baseDelay: command.retryDelay } as const
          })
          const made = yield* scheduler().repeat(handle(schedule.fn), options)
          assert.strictEqual(made.cursor, eraOf(schedule).first, "first")
          model.schedules.push(schedule)
          if (!command.again) return
          const repeated = yield* scheduler().repeat(handle(schedule.fn), options)
          assert.deepStrictEqual([repeated.id, repeated.createdAt, repeated.revision], [id, made.createdAt, 1], "I25")
          const other = yield* Effect.flip(scheduler().repeat(handle(schedule.fn), { ...options, payload: "other" }))
          assert.strictEqual(other._tag, "IdempotencyConflict", "I25")
          note("made again under its id")
        }),

        edit: Effect.fnUntraced(function*(command) {
          const schedule = pickSchedule(command.which)
          const now = yield* Clock.currentTimeMillis
          const before = stored(schedule)
          const version = command.payload ? schedule.version + 1 : schedule.version
          const edit: EditOptions = defined({
            ...(command.rule === undefined ? {} : triggerOf(command.rule, now)),
            payload: command.payload ? payloadOf({ ...schedule, version }) : undefined,
            overlap: command.overlap,
            catchUp: command.catchUp,
            function: command.fn === undefined ? undefined : handle(nameOf(command.fn)),
            maxRuns: command.maxRuns,
            pauseAfterFailures: command.pauseAfter
          })
          const { revision } = schedule
          const stale = revision > 1 ? revision - 1 : revision + 1
          const guard = command.guard === "none" ? {} : { revision: command.guard === "right" ? revision : stale }
          const answer = yield* Effect.either(scheduler().editSchedule(schedule.id, edit, guard))
          const maxRuns = command.maxRuns === undefined ? schedule.maxRuns : command.maxRuns ?? undefined
          const refused = schedule.ended?.removed === true
            ? "TaskScheduleNotFound"
            : command.guard === "stale"
            ? "RevisionConflict"
            : refusalOf(schedule) ?? ((before?.runs ?? 0) >= (maxRuns ?? Infinity) ? "InvalidInput" : undefined)
          yield* answered(answer, refused)
          if (Either.isLeft(answer)) return
          const waiting = [...seen.tasks.values()].filter((task) =>
            task.scheduleId === schedule.id && isByRule(task) && task.status === "Scheduled" && task.attempts.length === 0
          )
          if (waiting.length > 1) note("edited while something waited")
          if (pauseAt(schedule, now) !== undefined) note("edited in a pause")
          schedule.revision++
          schedule.version = version
          schedule.maxRuns = maxRuns
          if (command.overlap !== undefined) {
            schedule.overlap = command.overlap
            schedule.policies.add(policyOf(command.overlap))
          }
          schedule.catchUp = command.catchUp ?? schedule.catchUp
          schedule.pauseAfter = command.pauseAfter === undefined ? schedule.pauseAfter : command.pauseAfter ?? undefined
          if (command.fn !== undefined) schedule.fn = nameOf(command.fn)
          if (command.rule !== undefined) {
            startEra(schedule, command.rule, now)
            note("another rule")
          }
          assert.strictEqual(answer.right.revision, schedule.revision, "one more for each edit")
          if (!command.again || command.guard !== "right") return
          const repeated = yield* Effect.flip(scheduler().editSchedule(schedule.id, edit, guard))
          assert.strictEqual(repeated._tag, "RevisionConflict")
        }),

        pause: Effect.fnUntraced(function*(command) {
          const schedule = pickSchedule(command.which)
          const now = yield* Clock.currentTimeMillis
          const until = command.lasts === undefined ? undefined : now + command.lasts
          const options = { by: "ada", note: "as asked", ...(until === undefined ? {} : { until }) }
          const pausing = Effect.either(scheduler().pauseSchedule(schedule.id, options))
          const answer = yield* pausing
          const refused = refusalOf(schedule)
          yield* answered(answer, refused)
          if (Either.isLeft(answer)) return
          if (pauseAt(schedule, now) === undefined) notePause(schedule, now, until ?? Infinity, stored(schedule))
          else startPause(schedule.pauses, now, until ?? Infinity)
          if (until !== undefined) note("paused until")
          if (!command.again) return
          const repeated = yield* Effect.flatten(pausing)
          assert.deepStrictEqual(repeated, answer.right, "I11: paused twice")
        }),

        resume: Effect.fnUntraced(function*(command) {
          const schedule = pickSchedule(command.which)
          const now = yield* Clock.currentTimeMillis
          const resuming = Effect.either(scheduler().resumeSchedule(schedule.id))
          const answer = yield* resuming
          const refused = refusalOf(schedule)
          yield* answered(answer, refused)
          if (Either.isLeft(answer)) return
          if (endPause(schedule.pauses, now)) {
            schedule.failures = 0
            note("resumed")
          }
          if (!command.again) return
          const repeated = yield* Effect.flatten(resuming)
          assert.deepStrictEqual(
            [repeated.revision, repeated.status, now < (repeated.pause?.until ?? 0)],
            [answer.right.revision, answer.right.status, false],
            "I11: resumed twice"
          )
        }),

        pauseFunction: Effect.fnUntraced(function*({ again, fn, lasts }) {
          const now = yield* Clock.currentTimeMillis
          const name = nameOf(fn)
          const until = lasts === undefined ? undefined : now + lasts
          const pausing = scheduler().pauses.set(fn === undefined ? undefined : name, defined({ until }))
          const answer = yield* pausing
          if (!model.functionPauses.has(name)) model.functionPauses.set(name, [])
          startPause(model.functionPauses.get(name) as [], now, until ?? Infinity)
          if (again) assert.deepStrictEqual(yield* pausing, answer, "I11: paused twice")
          const all = yield* scheduler().pauses.get
          assert.deepStrictEqual(all[name], answer)
        }),

        lift: Effect.fnUntraced(function*({ again, fn }) {
          const now = yield* Clock.currentTimeMillis
          const name = nameOf(fn)
          const lifting = scheduler().pauses.lift(fn === undefined ? undefined : name)
          yield* lifting
          endPause(model.functionPauses.get(name) ?? [], now)
          if (again) yield* lifting
          assert.isUndefined((yield* scheduler().pauses.get)[name])
        }),

        runNow: Effect.fnUntraced(function*(command) {
          const schedule = pickSchedule(command.which)
          const number = model.manual.size
          const id = TaskId.make(yield* newId)
          const payload = command.payload ? { schedule: schedule.number, byHand: number } : payloadOf(schedule)
          const options = defined({ id, overlap: command.overlap, payload: command.payload ? payload : undefined })
          const running = Effect.either(scheduler().runNow(schedule.id, options))
          const answer = yield* running
          const refused = refusalOf(schedule)
          yield* answered(answer, refused)
          if (Either.isLeft(answer)) return
          model.manual.set(id, { id, number, schedule, payload })
          if (command.overlap !== undefined) {
            schedule.policies.add(policyOf(command.overlap))
            note("run by hand in its own way")
          }
          assert.strictEqual(answer.right.id, id)
          if (!command.again) return
          const repeated = yield* Effect.flatten(running)
          assert.deepStrictEqual([repeated.id, repeated.createdAt], [id, answer.right.createdAt], "I25")
        }),

        cancelTask: Effect.fnUntraced(function*(command) {
          const now = yield* Clock.currentTimeMillis
          const task = pick(
            inOrder(seen.tasks.values()).filter((task) => isLive(task) !== command.finished),
            command.which
          )
          if (task === undefined) return
          const cancelling = Effect.either(scheduler().cancel(task.id))
          const answer = yield* cancelling
          const refused = isLive(task) || task.status === "Cancelled" ? undefined : "TaskFinished"
          yield* answered(answer, refused)
          if (Either.isLeft(answer)) return
          if (isLive(task)) {
            model.cancelled.set(task.id, now)
            note(
              task.status === "Running"
                ? "cancelled while it ran"
                : task.dueAt > now
                ? "cancelled before it was due"
                : "cancelled while it waited"
            )
          }
          if (command.again) assert.deepStrictEqual(yield* Effect.flatten(cancelling), answer.right, "I11: cancelled twice")
        }),

        cancelSchedule: Effect.fnUntraced(function*(command) {
          const schedule = pickSchedule(command.which)
          const now = yield* Clock.currentTimeMillis
          const cancelling = Effect.either(scheduler().cancelSchedule(schedule.id))
          const answer = yield* cancelling
          const isRemoved = schedule.ended?.removed === true
          yield* answered(answer, isRemoved ? "TaskScheduleNotFound" : undefined)
          if (Either.isLeft(answer)) return
          if (isActive(schedule)) {
            schedule.revision++
            note("a schedule was cancelled")
          }
          schedule.ended ??= { at: now, removed: false }
          if (command.again) assert.deepStrictEqual(yield* Effect.flatten(cancelling), answer.right, "I11: ended twice")
        }),

        remove: Effect.fnUntraced(function*(command) {
          const schedule = pickSchedule(command.which)
          const now = yield* Clock.currentTimeMillis
          const own = [...seen.tasks.values()].filter(({ scheduleId }) => scheduleId === schedule.id)
          if (own.some(({ status }) => status === "Running")) note("removed while it ran")
          yield* scheduler().removeSchedule(schedule.id)
          schedule.ended = { at: schedule.ended?.at ?? now, removed: true }
          if (command.again) yield* scheduler().removeSchedule(schedule.id)
          const gone = yield* Effect.flip(scheduler().getSchedule(schedule.id))
          assert.strictEqual(gone._tag, "TaskScheduleNotFound")
        }),

        backfill: Effect.fnUntraced(function*(command) {
          const schedule = pickSchedule(command.which)
          const now = yield* Clock.currentTimeMillis
          const { rule } = eraOf(schedule)
          const period = rule._tag === "Grid" ? rule.period : hour
          const to = Math.floor(now - command.endsBack * period)
          const from = Math.floor(to - command.spans * period)
          const id = (yield* newId) as BackfillId
          const options = defined({ id, from, to, concurrency: command.concurrency, overlap: command.overlap })
          const starting = Effect.either(scheduler().backfills.start(schedule.id, options))
          const answer = yield* starting
          const refused = schedule.ended?.removed === true
            ? "TaskScheduleNotFound"
            : rule._tag === "Spaced" || (command.overlap === "allowAll" && command.concurrency !== undefined)
            ? "InvalidInput"
            : refusalOf(schedule)
          yield* answered(answer, refused)
          if (Either.isLeft(answer) || rule._tag === "Spaced") return
          const instants = instantsIn(rule, from, to)
          model.backfills.push({
            id,
            number: model.backfills.length,
            schedule,
            instants,
            concurrency: command.overlap === "allowAll" ? Infinity : command.concurrency ?? 1,
            payload: payloadOf(schedule),
            fn: schedule.fn,
            cancelledAt: undefined
          })
          assert.deepStrictEqual([answer.right.id, answer.right.total], [id, instants.length])
          if (instants.length > 1) note("a backfill of several")
          if (!command.again) return
          const repeated = yield* Effect.flatten(starting)
          assert.deepStrictEqual([repeated.id, repeated.total], [id, instants.length], "I25: a backfill")
        }),

        cancelBackfill: Effect.fnUntraced(function*(command) {
          const now = yield* Clock.currentTimeMillis
          const backfill = pick(model.backfills, command.which)
          if (backfill === undefined) return
          const cancelling = Effect.either(scheduler().backfills.cancel(backfill.id))
          const answer = yield* cancelling
          yield* answered(answer, backfill.schedule.ended?.removed === true ? "BackfillNotFound" : undefined)
          if (Either.isLeft(answer)) return
          for (const task of seen.tasks.values()) {
            if (task.origin !== `backfill:${backfill.id}` || !isLive(task)) continue
            model.cancelled.set(task.id, now)
            note("a backfill was cancelled under way")
          }
          backfill.cancelledAt ??= now
          assert.strictEqual(answer.right.cancelledAt, backfill.cancelledAt)
          if (command.again) assert.deepStrictEqual(yield* Effect.flatten(cancelling), answer.right, "I11: cancelled twice")
        }),

        advance: ({ millis }) =>
          Effect.suspend(() => {
            const each = model.schedules.filter((schedule) => isActive(schedule) && pauseAt(schedule, seen.now) === undefined)
              .map((schedule) => {
                const { rule } = eraOf(schedule)
                return rule._tag === "Grid" ? rule.period : rule.interval
              })
            const rate = each.reduce((sum, period) => sum + 1 / period, 0)
            return Effect.sleep(Math.ceil(Math.min(millis, mostInOneAdvance / rate)))
          }),

        restart: Effect.fnUntraced(function*({ away }) {
          if (calls.some(({ endedAt }) => endedAt === Infinity)) note("restarted while something ran")
          yield* instance.stop
          by++
          yield* Effect.sleep(away)
          instance = yield* stage.start(settings)
          yield* Effect.sleep(1)
        }),

        loseLease: Effect.fnUntraced(function*({ how }) {
          if (!losesLeases) {
            yield* steps.restart({ _tag: "restart", away: how === "dead" ? 0 : minute })
            return
          }
          const now = yield* Clock.currentTimeMillis
          const own = [...seen.tasks.values()].filter(({ attempts, status }) => status === "Scheduled" && attempts.length === 0)
          if (own.some(({ dueAt, owner }) => dueAt <= now && owner === undefined)) note("a lease was lost while something waited")
          if (calls.some(({ endedAt }) => endedAt === Infinity)) note("a lease was lost while something ran")
          by++
          if (how === "dead") {
            yield* instance.die
            instance = yield* stage.start(settings)
            model.unsettledUntil = Math.max(model.unsettledUntil, now + 10 * second)
          } else {
            yield* stage.execute((schema) => `UPDATE "${schema}".instances SET expires_at = clock_timestamp()`)
            model.unsettledUntil = Math.max(model.unsettledUntil, now + heartbeat + 10 * second)
          }
        })
      }

      const perform = (command: Command) =>
        Effect.gen(function*() {
          const now = yield* Clock.currentTimeMillis
          trace.push(`${iso(now)} ${JSON.stringify(command)}`)
          answers.push(`${iso(now)} ${command._tag}`)
          yield* (steps[command._tag] as (command: Command) => Effect.Effect<unknown, unknown>)(command)
          yield* observe
        })

      yield* settle
      for (const command of [...creates, ...commands]) yield* perform(command)

      // Nothing more goes wrong, and nothing is paused: what is due comes to its end.
      quiet = true
      trace.push(`${iso(yield* Clock.currentTimeMillis)} the end`)
      for (const fn of [0, 1, undefined] as const) yield* steps.lift({ _tag: "lift", fn, again: false })
      // What runs already may fail yet, and pause its schedule.
      yield* Effect.sleep(16 * minute)
      yield* observe
      for (const schedule of model.schedules) {
        if (!isActive(schedule)) continue
        yield* scheduler().resumeSchedule(schedule.id)
        if (endPause(schedule.pauses, yield* Clock.currentTimeMillis)) schedule.failures = 0
      }
      yield* observe
      yield* Effect.sleep(Math.max(30 * minute, model.unsettledUntil - seen.now + 20 * minute))
      yield* observe
      const left = [...seen.tasks.values()].filter((task) => isLive(task) && task.dueAt < seen.now)
      assert.deepStrictEqual(left.map(told), [], "I03: what is due comes to its end")
      for (const backfill of model.backfills) {
        if (backfill.schedule.ended?.removed === true) continue
        const { counts, status } = yield* scheduler().backfills.get(backfill.id)
        assert.strictEqual(status, backfill.cancelledAt === undefined ? "Completed" : "Cancelled")
        assert.strictEqual(Object.values(counts).reduce((sum, count) => sum + count, 0), backfill.instants.length)
      }
      return historyOf(model, seen, inOrder, answers)
    })

  return onStage(store, begin, { a: script, b: script }, body as (stage: Stage) => Effect.Effect<History>).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${trace.join("\n")}`)
  })
}

const historyOf = (
  model: Model,
  seen: Seen,
  inOrder: (tasks: Iterable<Task>) => ReadonlyArray<Task>,
  answers: ReadonlyArray<string>
): History => ({
  answers,
  schedules: model.schedules.map(({ id, number }) => {
    const stored = seen.schedules.get(id)
    if (stored === undefined) return { number }
    const { cursor, failures, missed, pause, revision, runs, status } = stored
    return { number, cursor: iso(cursor), failures, missed, pause: pause && { ...pause, note: "" }, revision, runs, status }
  }),
  tasks: inOrder(seen.tasks.values()).map((task) => ({
    schedule: model.of(task.scheduleId)?.number,
    what: told(task).replace(/, owned/, ""),
    payload: task.payload,
    endedAt: "finishedAt" in task ? iso(task.finishedAt) : undefined,
    range: task.status === "Skipped" ? task.range : undefined
  })),
  calls: seen.calls.map(({ at, attempt, endedAt, fn, outcome, payload, taskId }) => {
    const task = seen.tasks.get(taskId) as Task
    return `${iso(at)} ${laneOf(task).length} ${iso(task.nominalAt)} ${attempt} ${fn} ${JSON.stringify(payload)} ${endedAt} ${outcome}`
  }).sort()
})
