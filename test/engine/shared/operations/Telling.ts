/** A story while it is told: the scheduler on its stage, the reference beside it, and what was seen last. */
import { assert } from "@effect/vitest"
import { Clock, Effect, Either } from "effect"
import { uuid7 } from "../../../../src/domain/Ids.ts"
import { EngineConfig, LambdaFunction, Trigger } from "../../../../src/index.ts"
import type {
  EngineSettings,
  EpochMillis,
  RepeatOptions,
  Task,
  TaskId,
  TaskSchedule,
  TaskScheduleId
} from "../../../../src/index.ts"
import type { Instance, Stage } from "../stage.ts"
import type { CallLog } from "./behaviour.ts"
import { check } from "./checks.ts"
import type { Command, CommandOf, RuleSpec } from "./commands.ts"
import { day, hour } from "./commands.ts"
import type { ScheduleModel } from "./model.ts"
import { eraOf, isNamed, Model, ruleOf } from "./model.ts"
import type { Checked, Seen } from "./seen.ts"
import { must, same } from "./seen.ts"

/** How each command of these is given. */
export type Steps<Tag extends Command["_tag"]> = {
  readonly [One in Tag]: (command: CommandOf<One>) => Effect.Effect<unknown, unknown>
}

const functions = ["a", "b"] as const
/** Without a name it is all of them. */
export const nameOf = (fn: 0 | 1 | undefined): string => fn === undefined ? "" : functions[fn]
export const handle = (name: string) => LambdaFunction.existing(name, { timeout: "15 minutes" })

/** By then an instance knows that its lease is gone. */
export const heartbeat = hour
const settings: Partial<EngineSettings> = {
  // What is marked has begun: it is told when it is sent.
  startLead: 0,
  heartbeatInterval: heartbeat,
  cancelPollInterval: day,
  deadLetterAge: 4_000 * day,
  eventBuffer: 16,
  // Nothing is held back.
  minConcurrency: 1_000,
  breaker: { ...EngineConfig.defaults.breaker, minimumCalls: Infinity },
  limiter: { least: 1, most: 0 }
}

export const defined = <A extends object>(fields: A): A =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as A

export const triggerOf = (
  spec: RuleSpec,
  now: EpochMillis
): Pick<RepeatOptions, "trigger" | "startAt" | "initialDelay"> => {
  switch (spec._tag) {
    case "Cron":
      return { trigger: Trigger.cron(spec.expression, { timeZone: spec.timeZone }) }
    case "Fixed":
      return { trigger: Trigger.fixed(spec.interval), ...(spec.begins === 0 ? {} : { startAt: now + spec.begins }) }
    case "Spaced":
      return { trigger: Trigger.spaced(spec.interval), ...(spec.delay === 0 ? {} : { initialDelay: spec.delay }) }
  }
}

export const pick = <A>(from: ReadonlyArray<A>, which: number): A | undefined => from[which % Math.max(1, from.length)]

export interface Needs {
  readonly stage: Stage
  readonly log: CallLog
  /** Whether leases are lost, or only handed back. */
  readonly losesLeases: boolean
  /** More occurrences than this do not fall into one advance. */
  readonly busiest: number
  readonly note: Checked["note"]
}

export class Telling {
  readonly model: Model
  readonly answers: Array<string> = []
  readonly stage: Stage
  readonly log: CallLog
  readonly losesLeases: boolean
  readonly busiest: number
  readonly note: Checked["note"]
  instance: Instance
  startedAt: EpochMillis
  seen: Seen
  private ids = 0

  static readonly begin = (needs: Needs): Effect.Effect<Telling> =>
    Effect.zipWith(
      needs.stage.start(settings),
      Clock.currentTimeMillis,
      (instance, now) => new Telling(needs, instance, now)
    )

  private constructor({ busiest, log, losesLeases, note, stage }: Needs, instance: Instance, now: EpochMillis) {
    this.model = new Model()
    this.stage = stage
    this.log = log
    this.losesLeases = losesLeases
    this.busiest = busiest
    this.note = note
    this.instance = instance
    this.startedAt = now
    this.seen = { now, tasks: new Map(), schedules: new Map(), calls: [], by: log.by }
  }

  get scheduler() {
    return this.instance.scheduler
  }

  readonly newId: Effect.Effect<string> = Effect.map(
    Clock.currentTimeMillis,
    (now) => uuid7(now, 4_000, 0, ++this.ids)
  )

  /** Another process takes the place of the one before. */
  readonly replace: Effect.Effect<void> = Effect.suspend(() => this.stage.start(settings)).pipe(
    Effect.zipWith(Clock.currentTimeMillis, (instance, now) => {
      this.instance = instance
      this.startedAt = now
    })
  )

  private readonly look = Effect.gen(this, function*() {
    const { log, stage: { store } } = this
    const tasks = new Map<TaskId, Task>()
    let cursor: string | undefined
    do {
      const page = yield* store.list({}, { limit: 1_000, cursor })
      for (const task of page.items) tasks.set(task.id, task)
      cursor = page.cursor
    } while (cursor !== undefined)
    const { items } = yield* store.listSchedules({}, { limit: 1_000 })
    const schedules = new Map<TaskScheduleId, TaskSchedule>(items.map((schedule) => [schedule.id, schedule]))
    const now = yield* Clock.currentTimeMillis
    return { now, tasks, schedules, calls: log.calls.map((call) => ({ ...call })), by: log.by } satisfies Seen
  })

  /** Nothing more happens at this instant, and the next command comes at one that no rule names. */
  private readonly settle = Effect.gen(this, function*() {
    let isMet: boolean
    do {
      yield* Effect.sleep(1)
      const now = yield* Clock.currentTimeMillis
      isMet = this.model.schedules.some((schedule) => {
        const { rule } = eraOf(schedule)
        return rule._tag === "Grid" && isNamed(rule, now)
      })
    } while (isMet)
  })

  /** Looks at all there is, and checks it. */
  readonly observe = Effect.gen(this, function*() {
    yield* this.settle
    const before = this.seen
    this.seen = yield* this.look
    check({ model: this.model, before, seen: this.seen, note: this.note })
  })

  stored(schedule: ScheduleModel): TaskSchedule | undefined {
    return this.seen.schedules.get(schedule.id)
  }

  isActive(schedule: ScheduleModel): boolean {
    return this.stored(schedule)?.status === "Active"
  }

  /** Mostly one that goes on. */
  pickSchedule(which: number): ScheduleModel {
    const active = which % 9 === 8 ? [] : this.model.schedules.filter((schedule) => this.isActive(schedule))
    return pick(active, which) ?? pick(this.model.schedules, which) ?? assert.fail("there is none")
  }

  /** How a change of a schedule must be answered, whatever it is. */
  refusalOf(schedule: ScheduleModel): string | undefined {
    if (schedule.ended?.removed === true) return "TaskScheduleNotFound"
    return this.isActive(schedule) ? undefined : "TaskScheduleEnded"
  }

  /** An answer is as expected, and if it is a refusal nothing has changed. */
  readonly answered = <A>(
    command: Command,
    answer: Either.Either<A, { readonly _tag: string }>,
    expected: string | undefined
  ) =>
    Effect.gen(this, function*() {
      const tag = Either.match(answer, { onLeft: ({ _tag }) => _tag, onRight: () => undefined })
      must(tag === expected, () => `answered ${JSON.stringify(answer)} instead of ${expected}`)
      if (tag === undefined) return
      this.answers.push(tag)
      this.note(`${command._tag} refused: ${tag}`)
      const after = yield* this.look
      same(after.tasks, this.seen.tasks, () => "refused, and yet it has changed something")
      same(after.schedules, this.seen.schedules, () => "refused, and yet it has changed something")
    })

  startEra(schedule: ScheduleModel, spec: RuleSpec, now: EpochMillis): void {
    const { first, rule } = ruleOf(spec, now)
    const before = schedule.eras.at(-1)
    if (before !== undefined) {
      before.upTo = this.stored(schedule)?.cursor ?? assert.fail("not stored")
      if (before.rule._tag === "Grid" && before.upTo < now) this.note("instants without a record: another rule came")
    }
    schedule.eras.push({ since: now, rule, first, upTo: Infinity })
  }
}
