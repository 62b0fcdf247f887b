/** What changes of clocks do to the occurrences of a pattern, for people to see before it happens. Pure. */
import type { EpochSeconds, Segment, WallSeconds } from "./TimeZone.ts"
import type { Zoned } from "./WallPattern.ts"
import { outlivesGaps } from "./WallPattern.ts"

/**
 * What a change of clocks has to do with an occurrence: `made-up` stands for times that clocks left out, `shifted` has been
 * moved out of a gap, `first-pass` and `second-pass` come at a time that clocks show twice.
 */
export type DstEffect = "made-up" | "shifted" | "first-pass" | "second-pass"

/** The segment that follows one, if its offset is another. */
const afterIt = ({ zone }: Zoned, segment: Segment): Segment | undefined => {
  if (segment.end === Infinity) return undefined
  const next = zone.segmentAt(segment.end)
  return next.start === segment.end && next.before !== next.offset ? next : undefined
}

/** What has happened to an occurrence; `undefined` for most of them. */
export const effectOn = (zoned: Zoned, instant: EpochSeconds): DstEffect | undefined => {
  const segment = zoned.zone.segmentAt(instant)
  const { before, offset, start } = segment
  const wall = instant + offset
  if (before < offset && instant < start + offset - before && zoned.pattern.next(wall) !== wall) {
    return zoned.gap === "shift" ? "shifted" : "made-up"
  }
  if (before > offset && wall < start + before) return "second-pass"
  const next = afterIt(zoned, segment)
  return next !== undefined && wall >= next.start + next.offset ? "first-pass" : undefined
}

/** A time of the pattern that does not count: clocks leave it out and nothing makes up for it, or show it again. */
export interface LeftOut {
  readonly wall: WallSeconds
  /** The instant of the change, or of the second pass. */
  readonly at: EpochSeconds
  readonly why: "gap" | "second-pass"
}

/**
 * The times that do not count, after one instant and up to another.
 *
 * @param limit how many at the most
 */
export const leftOutBetween = (
  zoned: Zoned,
  after: EpochSeconds,
  upTo: EpochSeconds,
  limit: number
): ReadonlyArray<LeftOut> => {
  const { pattern, zone } = zoned
  const found: Array<LeftOut> = []
  const collect = (from: WallSeconds, to: WallSeconds, leftOut: (wall: WallSeconds) => LeftOut) => {
    for (let wall = pattern.next(from); wall !== undefined && wall < to; wall = pattern.next(wall + 1)) {
      if (found.length >= limit) return
      found.push(leftOut(wall))
    }
  }
  for (let from = after + 1; from <= upTo && found.length < limit;) {
    const { before, end, offset, start } = zone.segmentAt(from)
    if (before < offset && !outlivesGaps(zoned) && start >= from) {
      collect(start + before, start + offset, (wall) => ({ wall, at: start, why: "gap" }))
    }
    if (before > offset && pattern.oncePerOverlap) {
      collect(
        Math.max(start, from) + offset,
        Math.min(start + before, upTo + 1 + offset),
        (wall) => ({ wall, at: wall - offset, why: "second-pass" })
      )
    }
    from = end
  }
  return found
}
