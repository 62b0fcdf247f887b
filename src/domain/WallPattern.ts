/**
 * From what clocks on the wall show to instants: when a pattern of wall times occurs in a zone whose clocks are set
 * forward and back. Pure.
 *
 * The rule is that of Vixie cron. A time that is left out when clocks are set forward is made up for, once, at the first
 * instant after the gap; one that comes twice when they are set back counts the first time only. So what is to run daily
 * runs once each calendar day. Patterns that repeat within the day keep their real spacing instead: nothing is made up
 * for, and they run in both passes.
 */
import { dateOf, secondsADay } from "./CalendarDate.ts"
import type { EpochSeconds, Segment, TimeZone, WallSeconds } from "./TimeZone.ts"

/**
 * What becomes of a time that clocks leave out: `run-after` once at the first instant after the gap (but not of patterns
 * with `*` in the minute or the hour), `skip` nothing, `shift` as much later as the gap is long.
 */
export type Gap = "run-after" | "skip" | "shift"

/** Which passes of a repeated time count: `default` the first of fixed times and both of intervals; `once`; `both`. */
export type Overlap = "default" | "once" | "both"

/** A set of wall times. */
export interface WallPattern {
  /** The first at or after another. */
  readonly next: (from: WallSeconds) => WallSeconds | undefined
  /** How many there are from one on and before another. */
  readonly count: (from: WallSeconds, to: WallSeconds) => number
  /** Whether those that a gap swallows are made up for after it. */
  readonly madeUpAfterGap: boolean
  /** Whether those that come twice count in the first pass only. */
  readonly oncePerOverlap: boolean
}

/** A pattern in a zone. */
export interface Zoned {
  readonly pattern: WallPattern
  readonly zone: TimeZone
  readonly gap: Gap
}

/** Seconds that no change of an offset exceeds (Manila and Juneau moved across the date line). */
const largestChange = 27 * 3_600

/** The wall time from which on a segment counts, for an instant in it. */
const countsFrom = ({ pattern }: Zoned, { before, offset, start }: Segment, from: EpochSeconds): WallSeconds =>
  pattern.oncePerOverlap && before > offset ? Math.max(from + offset, start + before) : from + offset

/** Whether what clocks leave out is run after all, later; if not, it is lost. */
export const outlivesGaps = ({ gap, pattern }: Zoned): boolean =>
  gap === "shift" || (gap === "run-after" && pattern.madeUpAfterGap)

/** What a gap at a segment's start has moved into it, at or after an instant of it. */
const movedInto = (zoned: Zoned, { before, offset, start }: Segment, from: EpochSeconds) => {
  const { gap, pattern } = zoned
  if (before >= offset || !outlivesGaps(zoned) || (gap === "run-after" && from > start)) return undefined
  const wall = pattern.next(from + before)
  if (wall === undefined || wall >= start + offset) return undefined
  return gap === "shift" ? wall - before : start
}

/** The first occurrence in a segment at or after an instant of it. */
const nextWithin = (zoned: Zoned, segment: Segment, from: EpochSeconds): EpochSeconds | undefined => {
  const wall = zoned.pattern.next(countsFrom(zoned, segment, from))
  const regular = wall === undefined || wall >= segment.end + segment.offset ? undefined : wall - segment.offset
  const moved = movedInto(zoned, segment, from)
  const first = moved === undefined || (regular !== undefined && regular < moved) ? regular : moved
  return first !== undefined && first < segment.end ? first : undefined
}

/**
 * The first occurrence after an instant.
 *
 * @returns `undefined` when there is none any more
 */
export const nextOf = (zoned: Zoned, after: EpochSeconds): EpochSeconds | undefined => {
  for (let from = after + 1;;) {
    const segment = zoned.zone.segmentAt(from)
    const found = nextWithin(zoned, segment, from)
    if (found !== undefined) return found
    // Nothing before this wall time, whatever clocks do until then: most of the years without a 29th of February.
    const wall = zoned.pattern.next(segment.end + segment.offset - largestChange)
    if (wall === undefined) return undefined
    from = Math.max(segment.end, wall - segment.offset - 2 * largestChange)
  }
}

/** How many occurrences there are after one instant and up to another. */
export const countOf = (zoned: Zoned, after: EpochSeconds, upTo: EpochSeconds): number => {
  let count = 0
  for (let from = after + 1; from <= upTo;) {
    const segment = zoned.zone.segmentAt(from)
    const { before, end, offset, start } = segment
    const to = Math.min(end, upTo + 1)
    // While what was moved and what belongs there may coincide, one by one.
    const mixed = before < offset && outlivesGaps(zoned) ? Math.min(to, start + offset - before) : from
    for (
      let at = nextWithin(zoned, segment, from);
      at !== undefined && at < mixed;
      at = nextWithin(zoned, segment, from)
    ) {
      count++
      from = at + 1
    }
    from = Math.max(from, mixed)
    const first = countsFrom(zoned, segment, from)
    if (first < to + offset) count += zoned.pattern.count(first, to + offset)
    from = to
  }
  return count
}

/**
 * The instant of a wall time: the first of two, and after a gap the first instant at which clocks run again.
 *
 * @example
 * instantOf(stockholm, wallOf("2027-03-28T02:30")) // 2027-03-28T03:00:00+02:00
 */
export const instantOf = (zone: TimeZone, wall: WallSeconds): EpochSeconds => {
  const once: WallPattern = {
    next: (from) => from <= wall ? wall : undefined,
    count: (from, to) => from <= wall && wall < to ? 1 : 0,
    madeUpAfterGap: true,
    oncePerOverlap: true
  }
  return nextOf({ pattern: once, zone, gap: "run-after" }, wall - largestChange - 1) as EpochSeconds
}

/** What clocks show at an instant. */
export const wallAt = (zone: TimeZone, instant: EpochSeconds): WallSeconds => instant + zone.segmentAt(instant).offset

const two = (value: number): string => String(value).padStart(2, "0")

/** A wall time as ISO 8601 writes it, without an offset. */
export const shownWall = (wall: WallSeconds): string => {
  const day = Math.floor(wall / secondsADay)
  const second = wall - day * secondsADay
  const { day: dayOfMonth, month, year } = dateOf(day)
  const time = `${two(Math.floor(second / 3_600))}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}`
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(dayOfMonth)}T${time}`
}
