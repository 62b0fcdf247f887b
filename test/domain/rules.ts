/** Rules of all kinds, in zones whose clocks are set forward and back, and instants at which that is done. */
import * as fc from "fast-check"
import type { AnchoredRule } from "../../src/domain/Recurrence.ts"

/** Instants around which clocks change, and one around which they do not. */
const changes = [
  "2027-03-28T01:00Z",
  "2027-10-31T01:00Z",
  "2027-04-03T15:00Z",
  "2027-10-02T15:30Z",
  "2017-10-15T03:00Z",
  "2018-02-18T02:00Z",
  "2025-02-23T02:00Z",
  "2025-04-06T02:00Z",
  "2011-12-30T10:00Z",
  "2028-02-29T00:00Z"
].map((text) => Date.parse(text))

export const zones = [
  "UTC",
  "Europe/Stockholm",
  "America/New_York",
  "Australia/Lord_Howe",
  "America/Sao_Paulo",
  "Africa/Casablanca",
  "Pacific/Apia"
]

const expressions = [
  "* * * * * *",
  "*/7 */13 * * * *",
  "*/30 * * * *",
  "17 * * * *",
  "30 2 * * *",
  "0,30 1-3 * * *",
  "15 2 * * *",
  "0 0 * * *",
  "30 23,0 * * *",
  "0 */5 * * *",
  "0 9 * * MON",
  "0 9 13 * FRI",
  "0 0 L * *",
  "0 0 LW * *",
  "30 1 * * 7L",
  "0 0 29 2 *"
]

export const day = 86_400_000

export const aRule: fc.Arbitrary<AnchoredRule> = fc.oneof(
  fc.record({ interval: fc.integer({ min: 1_000, max: 40 * day }), anchor: fc.constantFrom(...changes) }).map((
    rule
  ) => ({
    _tag: "Fixed" as const,
    v: 2 as const,
    ...rule
  })),
  fc.record({
    expression: fc.constantFrom(...expressions),
    timeZone: fc.constantFrom(...zones),
    gap: fc.constantFrom("run-after" as const, "skip" as const, "shift" as const),
    overlap: fc.constantFrom("default" as const, "once" as const, "both" as const)
  }).map((rule) => ({ _tag: "Cron" as const, v: 2 as const, syntax: "unix" as const, ...rule })),
  fc.record({
    every: fc.integer({ min: 1, max: 5 }),
    unit: fc.constantFrom("day" as const, "week" as const, "month" as const, "year" as const),
    // Any minute of ten years.
    from: fc.integer({ min: 0, max: 10 * 365 * 1_440 }).map((minute) =>
      Date.parse("2008-01-31T00:00Z") / 1_000 + minute * 60
    ),
    missingDay: fc.constantFrom("clamp" as const, "skip" as const),
    timeZone: fc.constantFrom(...zones),
    gap: fc.constantFrom("run-after" as const, "skip" as const, "shift" as const)
  }).map((rule) => ({ _tag: "Calendar" as const, v: 2 as const, ...rule }))
)

/** Within three days of a change, to the millisecond. */
export const anInstant = fc.tuple(fc.constantFrom(...changes), fc.integer({ min: -3 * day, max: 3 * day })).map((
  [change, by]
) => change + by)
