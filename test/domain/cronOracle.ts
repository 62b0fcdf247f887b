/**
 * What the rule for changes of clocks comes to, found by going through a stretch of time second by second. It knows what
 * clocks show from `Intl` alone, and shares no code with what it judges.
 */
// Dates of JavaScript are the calendar here.
// @effect-diagnostics globalDate:off
import type { Gap, Overlap } from "../../src/domain/WallPattern.ts"
import type { DayFacts, Meaning } from "./cronExpressions.ts"

const daySeconds = 86_400

/** What clocks of a zone show, from one instant on and before another: for each second, as if it were UTC. */
export interface Stretch {
  readonly start: number
  readonly walls: Float64Array
}

/** Looks at each minute, and at each second of those in which clocks are changed. */
export const stretchOf = (timeZone: string, start: number, end: number): Stretch => {
  const format = new Intl.DateTimeFormat("en-GB", { timeZone, dateStyle: "short", timeStyle: "medium" })
  const wallAt = (instant: number): number => {
    const [, day, month, year, time] = /^(\d+)\/(\d+)\/(\d+), (.+)$/.exec(format.format(instant * 1_000)) ?? []
    return Date.parse(`${year}-${month}-${day}T${time}Z`) / 1_000
  }
  const walls = new Float64Array(end - start)
  for (let minute = start; minute < end; minute += 60) {
    const first = wallAt(minute)
    const isSteady = wallAt(minute + 60) === first + 60
    for (let at = minute; at < Math.min(minute + 60, end); at++) {
      walls[at - start] = isSteady ? first + at - minute : wallAt(at)
    }
  }
  return { start, walls }
}

const factsOf = (wall: number): DayFacts => {
  const date = new Date(wall * 1_000)
  return {
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    weekday: date.getUTCDay(),
    length: new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()
  }
}

/** Whether an expression names a wall time. */
const wallTest = ({ isDay, isMinute, isSecond }: Meaning): (wall: number) => boolean => {
  const minutes = Array.from({ length: 24 * 60 }, (_, minute) => isMinute(Math.floor(minute / 60), minute % 60))
  const seconds = Array.from({ length: 60 }, (_, second) => isSecond(second))
  let day = NaN
  let isOnDay = false
  return (wall) => {
    if (Math.floor(wall / daySeconds) !== day) {
      day = Math.floor(wall / daySeconds)
      isOnDay = isDay(factsOf(wall))
    }
    const time = wall - day * daySeconds
    return isOnDay && minutes[Math.floor(time / 60)] === true && seconds[time % 60] === true
  }
}

/** The instants at which an expression occurs in a stretch, but not in its first seconds of clocks that others may repeat. */
export const occurrencesIn = (
  { start, walls }: Stretch,
  meaning: Meaning,
  gap: Gap,
  overlap: Overlap
): ReadonlyArray<number> => {
  const isNamed = wallTest(meaning)
  const firstPassOnly = overlap === "once" || (overlap === "default" && !meaning.isInterval)
  const found = new Set<number>()
  let latest = -Infinity
  for (let index = 0; index < walls.length; index++) {
    const at = start + index
    const wall = walls[index] as number
    // No zone has repeated what it had left out before, so what has been shown is all up to the latest.
    const isShownAgain = wall <= latest
    if (isNamed(wall) && !(isShownAgain && firstPassOnly)) found.add(at)
    const before = index === 0 ? wall - 1 : walls[index - 1] as number
    const size = wall - before - 1
    for (let leftOut = before + 1; leftOut < wall; leftOut++) {
      if (gap === "skip" || !isNamed(leftOut)) continue
      if (gap === "shift") found.add(at + (leftOut + size - wall))
      else if (!meaning.isOpenWithinDay) found.add(at)
    }
    latest = Math.max(latest, wall)
  }
  const end = start + walls.length
  return [...found].filter((at) => at < end).sort((one, other) => one - other)
}
