/**
 * IANA time zones, as this runtime's `Intl` knows them: the only source of offsets. A zone is cut into segments between
 * changes of its offset; they are found once for each quarter of a year that is asked for, and kept.
 */
import { Either } from "effect"
import { dayOf, secondsADay } from "./CalendarDate.ts"
import { InvalidInput } from "./Errors.ts"
import { shown } from "./Time.ts"

/** Whole seconds since 1970-01-01T00:00:00Z. */
export type EpochSeconds = number

/** Whole seconds of what clocks on the wall show, counted as if they were UTC. */
export type WallSeconds = number

/** A stretch of time with one offset. */
export interface Segment {
  readonly start: EpochSeconds
  /** The first second that is no longer part of it. */
  readonly end: EpochSeconds
  /** Seconds east of UTC. */
  readonly offset: number
  /** The offset right before `start`; the same as `offset` where nothing changes. */
  readonly before: number
}

export interface TimeZone {
  /** Its name in canonical spelling. */
  readonly id: string
  /** The segment that holds an instant. */
  readonly segmentAt: (instant: EpochSeconds) => Segment
}

/** Seconds; about a quarter of a year. */
const chunk = 2 ** 23
/**
 * Seconds between two looks at the offset, about three days. No zone has ever had two changes that undo each other within
 * less than 3.98 days (Africa/Freetown in 1939; since 1970, 6.96 days).
 */
const stride = 2 ** 18
/** Seconds before a chunk from which on changes are looked for: what a change repeats or leaves out may reach into it. */
const lookBack = 2 * stride

/** Years 1 to 9999: beyond, the first and the last offset go on. */
const earliest = -62_135_596_800 + chunk
const latest = 253_402_300_799 - chunk

const makeOffsetAt = (id: string): (instant: EpochSeconds) => number => {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: id,
    calendar: "gregory",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit"
  })
  return (instant) => {
    const at = Math.min(Math.max(instant, earliest), latest)
    // Such as "11/24/2026, 19:30:05".
    const [month, day, year, hour, minute, second] = format.format(at * 1_000).split(/\D+/).map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number
    ]
    return dayOf(year, month, day) * secondsADay + hour * 3_600 + minute * 60 + second - at
  }
}

/** The first second of (low, high] at which the offset is no longer that at `low`. */
const changeBetween = (offsetAt: (instant: EpochSeconds) => number, low: EpochSeconds, high: EpochSeconds) => {
  const before = offsetAt(low)
  let [from, to] = [low, high]
  while (to - from > 1) {
    const middle = Math.floor((from + to) / 2)
    if (offsetAt(middle) === before) from = middle
    else to = middle
  }
  return to
}

/** The segments that have part in a chunk, ascending. */
const segmentsOf = (offsetAt: (instant: EpochSeconds) => number, index: number): ReadonlyArray<Segment> => {
  const end = (index + 1) * chunk
  let start = index * chunk - lookBack
  let offset = offsetAt(start)
  let before = offset
  const segments: Array<Segment> = []
  for (let from = start, here = offset; from < end;) {
    const to = Math.min(from + stride, end)
    const there = offsetAt(to)
    if (there === here) {
      from = to
      continue
    }
    const change = changeBetween(offsetAt, from, to)
    segments.push({ start, end: change, offset, before })
    start = change
    before = offset
    offset = offsetAt(change)
    from = change
    here = offset
  }
  segments.push({ start, end: Math.max(end, start + 1), offset, before })
  return segments
}

const makeTimeZone = (id: string): TimeZone => {
  const offsetAt = makeOffsetAt(id)
  const chunks = new Map<number, ReadonlyArray<Segment>>()
  return {
    id,
    segmentAt: (instant) => {
      const index = Math.floor(instant / chunk)
      let segments = chunks.get(index)
      if (segments === undefined) {
        // What asks for all of time must not fill the memory.
        if (chunks.size >= 4_096) chunks.clear()
        segments = segmentsOf(offsetAt, index)
        chunks.set(index, segments)
      }
      let at = segments.length - 1
      while (at > 0 && (segments[at] as Segment).start > instant) at--
      return segments[at] as Segment
    }
  }
}

const always: Segment = { start: -Infinity, end: Infinity, offset: 0, before: 0 }

export const utc: TimeZone = { id: "UTC", segmentAt: () => always }

const known = new Map<string, TimeZone>([["UTC", utc]])

const unknownZone = (input: unknown) =>
  new InvalidInput({
    reason: "TimezoneUnknown",
    field: "timeZone",
    message: "timeZone: expected the name of an IANA time zone such as \"Europe/Stockholm\" or \"UTC\", got " +
      shown(input)
  })

// What `Intl` would take besides names: offsets such as "+02:00", in newer runtimes only.
const isName = /^[A-Za-z][A-Za-z0-9_+/-]{1,63}$/

/** Where ICU, the source of `Intl`, still gives the names of before, and IANA has newer ones. */
const renamed: ReadonlyMap<string, string> = new Map([
  ["Africa/Asmera", "Africa/Asmara"],
  ["America/Buenos_Aires", "America/Argentina/Buenos_Aires"],
  ["America/Catamarca", "America/Argentina/Catamarca"],
  ["America/Cordoba", "America/Argentina/Cordoba"],
  ["America/Godthab", "America/Nuuk"],
  ["America/Indianapolis", "America/Indiana/Indianapolis"],
  ["America/Jujuy", "America/Argentina/Jujuy"],
  ["America/Louisville", "America/Kentucky/Louisville"],
  ["America/Mendoza", "America/Argentina/Mendoza"],
  ["Asia/Calcutta", "Asia/Kolkata"],
  ["Asia/Katmandu", "Asia/Kathmandu"],
  ["Asia/Rangoon", "Asia/Yangon"],
  ["Asia/Saigon", "Asia/Ho_Chi_Minh"],
  ["Atlantic/Faeroe", "Atlantic/Faroe"],
  ["Europe/Kiev", "Europe/Kyiv"],
  ["Pacific/Enderbury", "Pacific/Kanton"],
  ["Pacific/Ponape", "Pacific/Pohnpei"],
  ["Pacific/Truk", "Pacific/Chuuk"]
])

/**
 * A zone by its IANA name, in any case; links such as `US/Eastern` become what this runtime holds canonical.
 *
 * @returns the zone, or `InvalidInput` with reason `TimezoneUnknown`
 *
 * @example
 * parseTimeZone("europe/stockholm") // Either.right({ id: "Europe/Stockholm", ... })
 */
export const parseTimeZone = (input: unknown): Either.Either<TimeZone, InvalidInput> => {
  const before = known.get(input as string)
  if (before !== undefined) return Either.right(before)
  if (typeof input !== "string" || !isName.test(input)) return Either.left(unknownZone(input))
  return Either.map(
    Either.try({
      try: () => new Intl.DateTimeFormat("en-US", { timeZone: input }).resolvedOptions().timeZone,
      catch: () => unknownZone(input)
    }),
    (resolved) => {
      const id = renamed.get(resolved) ?? resolved
      const zone = known.get(id) ?? makeTimeZone(id)
      known.set(id, zone)
      return zone
    }
  )
}
