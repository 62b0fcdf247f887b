/** What operators do to schedules, as plain data that can be drawn and shrunk. Which one is meant is decided when it is done. */
import * as fc from "fast-check"
import type { CatchUpOption, OverlapOption } from "../../../../src/index.ts"

export const second = 1_000
export const minute = 60 * second
export const hour = 60 * minute
export const day = 24 * hour

/** A rule of clocks whose instants are as far apart in real time, whatever the clocks are set to. */
export interface CronSpec {
  readonly _tag: "Cron"
  readonly expression: string
  readonly timeZone: string
  readonly period: number
  /** Milliseconds from a whole period of UTC to an instant. */
  readonly offset: number
}

export type RuleSpec =
  | CronSpec
  | {
    readonly _tag: "Fixed"
    readonly interval: number
    /** Milliseconds from now to `startAt`, also back; `0`: none is given. */
    readonly begins: number
  }
  | { readonly _tag: "Spaced"; readonly interval: number; readonly delay: number }

const crons: ReadonlyArray<CronSpec> = [
  { _tag: "Cron", expression: "*/5 * * * *", timeZone: "UTC", period: 5 * minute, offset: 0 },
  { _tag: "Cron", expression: "*/15 * * * *", timeZone: "Europe/Stockholm", period: 15 * minute, offset: 0 },
  { _tag: "Cron", expression: "7 * * * *", timeZone: "Europe/Stockholm", period: hour, offset: 7 * minute },
  { _tag: "Cron", expression: "20 */6 * * *", timeZone: "UTC", period: 6 * hour, offset: 20 * minute },
  { _tag: "Cron", expression: "30 6 * * *", timeZone: "UTC", period: day, offset: 6.5 * hour }
]

const which = fc.noBias(fc.nat(999))
/** Shrinks to what is usual. */
const seldom = (oneOf: number) => fc.noBias(fc.nat(oneOf - 1)).map((drawn) => drawn === oneOf - 1)
const again = seldom(4)
const perhaps = <A>(arbitrary: fc.Arbitrary<A>, oneOf: number) =>
  fc.option(arbitrary, { nil: undefined, freq: oneOf - 1 }).map((value) => value)
const oneOf = <const A>(...values: ReadonlyArray<A>) => fc.noBias(fc.constantFrom(...values))

const rule: fc.Arbitrary<RuleSpec> = fc.oneof(
  { weight: 3, arbitrary: fc.noBias(fc.constantFrom(...crons)) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("Fixed" as const),
      // Not of whole seconds, so that not all of them meet.
      interval: oneOf(5 * minute + 123, 12 * minute + 4_567, 50 * minute + 891, 9 * hour + 11),
      begins: oneOf(0, 0, 17 * minute + 3, -100 * minute - 7)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      _tag: fc.constant("Spaced" as const),
      interval: oneOf(4 * minute + 321, 33 * minute + 77, 5 * hour + 5),
      delay: oneOf(0, 6 * minute + 1)
    })
  }
)

const overlap = oneOf<OverlapOption>(
  "skip",
  "bufferOne",
  "bufferAll",
  { policy: "bufferAll", max: 2 },
  "cancelOther",
  "allowAll"
)

const catchUp = oneOf<CatchUpOption>(
  "latest",
  "skip",
  "all",
  { policy: "all", max: 3 },
  { policy: "all", max: 5, window: 2 * hour },
  { policy: "latest", window: 40 * minute },
  { policy: "skip", window: 25 * minute }
)

/** Of two functions, or all. */
const fn = oneOf(0, 1)
const functions = oneOf(0, 1, undefined)

const create = fc.record({
  _tag: fc.constant("create" as const),
  fn,
  rule,
  overlap: perhaps(overlap, 8),
  catchUp: perhaps(catchUp, 8),
  maxRuns: perhaps(oneOf(1, 2, 3, 5, 8, 13), 2),
  pauseAfter: perhaps(oneOf(1, 2, 3), 3),
  attempts: oneOf(1, 2, 3),
  retryDelay: oneOf(0, 20 * second, 3 * minute),
  again
})

const edit = fc.record({
  _tag: fc.constant("edit" as const),
  which,
  guard: oneOf("right", "right", "stale", "none"),
  payload: fc.boolean(),
  rule: perhaps(rule, 2),
  overlap: perhaps(overlap, 2),
  catchUp: perhaps(catchUp, 2),
  fn: perhaps(fn, 2),
  maxRuns: perhaps(oneOf(null, 2, 5, 9), 2),
  pauseAfter: perhaps(oneOf(null, 1, 2), 2),
  again
})

const duration = oneOf(30 * second + 1, 11 * minute + 2, 47 * minute + 3, 3 * hour + 4, 2 * day + 5)

const pause = fc.record({ _tag: fc.constant("pause" as const), which, lasts: perhaps(duration, 2), again })
const resume = fc.record({ _tag: fc.constant("resume" as const), which, again })
const pauseFunction = fc.record({
  _tag: fc.constant("pauseFunction" as const),
  fn: functions,
  lasts: perhaps(duration, 2),
  again
})
const lift = fc.record({ _tag: fc.constant("lift" as const), fn: functions, again })
const runNow = fc.record({
  _tag: fc.constant("runNow" as const),
  which,
  overlap: perhaps(overlap, 2),
  payload: fc.boolean(),
  again
})
const cancelTask = fc.record({ _tag: fc.constant("cancelTask" as const), which, finished: seldom(8), again })
const cancelSchedule = fc.record({ _tag: fc.constant("cancelSchedule" as const), which, again })
const remove = fc.record({ _tag: fc.constant("remove" as const), which, again })
const backfill = fc.record({
  _tag: fc.constant("backfill" as const),
  which,
  /** Of the schedule's period: how far back it ends, and how long it is. */
  endsBack: oneOf(0, 1.5, 30),
  spans: oneOf(0.5, 2.5, 6.5),
  concurrency: perhaps(oneOf(1, 2, 3), 3),
  overlap: perhaps(oneOf("bufferAll", "allowAll"), 2),
  again
})
const cancelBackfill = fc.record({ _tag: fc.constant("cancelBackfill" as const), which, again })

const advance = fc.record({
  _tag: fc.constant("advance" as const),
  millis: fc.noBias(
    fc.oneof(
      fc.integer({ min: 1, max: 2 * second }),
      fc.integer({ min: 1, max: 2 * minute }),
      fc.integer({ min: 1, max: 15 * minute }),
      fc.integer({ min: 1, max: 15 * minute }),
      fc.integer({ min: 1, max: 2 * hour }),
      fc.integer({ min: 1, max: 2 * day })
    )
  )
})
/** For how long nobody is there. */
const away = fc.noBias(
  fc.oneof(
    fc.constant(0),
    fc.integer({ min: 1, max: 20 * minute }),
    fc.integer({ min: 1, max: 4 * hour }),
    fc.integer({ min: 1, max: 20 * day })
  )
)
const restart = fc.record({ _tag: fc.constant("restart" as const), away })
/** `expired`: an instance learns of it by a heartbeat; `dead`: it reaches the store no more, and another one comes. */
const loseLease = fc.record({ _tag: fc.constant("loseLease" as const), how: oneOf("expired", "dead") })

const command = fc.oneof(
  { weight: 2, arbitrary: create },
  { weight: 7, arbitrary: edit },
  { weight: 5, arbitrary: pause },
  { weight: 4, arbitrary: resume },
  { weight: 3, arbitrary: pauseFunction },
  { weight: 4, arbitrary: lift },
  { weight: 8, arbitrary: runNow },
  { weight: 5, arbitrary: cancelTask },
  { weight: 1, arbitrary: cancelSchedule },
  { weight: 1, arbitrary: remove },
  { weight: 4, arbitrary: backfill },
  { weight: 2, arbitrary: cancelBackfill },
  { weight: 26, arbitrary: advance },
  { weight: 3, arbitrary: restart },
  { weight: 2, arbitrary: loseLease }
)

export type Command = typeof command extends fc.Arbitrary<infer A> ? A : never
export type CommandOf<Tag extends Command["_tag"]> = Extract<Command, { readonly _tag: Tag }>

/** One story: what is done, and the seed of what the functions do. */
export interface Story {
  readonly seed: number
  readonly creates: ReadonlyArray<CommandOf<"create">>
  readonly commands: ReadonlyArray<Command>
}

export const story = (longest: number): fc.Arbitrary<Story> =>
  fc.record({
    seed: fc.noBias(fc.nat(1_000_000)),
    creates: fc.array(create, { minLength: 1, maxLength: 3, size: "max" }),
    commands: fc.noBias(fc.array(command, { minLength: 1, maxLength: longest, size: "max" }))
  })
