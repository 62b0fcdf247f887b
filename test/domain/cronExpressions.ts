/**
 * Cron expressions drawn from all of the syntax, each with what it means: a predicate that is written from the syntax's
 * description, not from the parser.
 */
import * as fc from "fast-check"

/** A day as an expression sees it. */
export interface DayFacts {
  readonly month: number
  readonly day: number
  /** 0 is Sunday. */
  readonly weekday: number
  /** Days in its month. */
  readonly length: number
}

export interface Meaning {
  readonly text: string
  readonly isDay: (day: DayFacts) => boolean
  readonly isMinute: (hour: number, minute: number) => boolean
  readonly isSecond: (second: number) => boolean
  /** `*` or `?` begins the minute or the hour. */
  readonly isOpenWithinDay: boolean
  /** The second, minute or hour has `*`, `?`, a range or a step. */
  readonly isInterval: boolean
}

type Test = (value: number, day: DayFacts) => boolean

interface Piece {
  readonly text: string
  readonly test: Test
}

interface FieldOf {
  readonly from: number
  readonly to: number
  readonly names?: ReadonlyArray<string>
  readonly special?: fc.Arbitrary<Piece>
}

const months = ["jan", "Feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
const weekdays = ["sun", "Mon", "TUE", "wed", "thu", "fri", "sat"]

/** Every `step`-th of the values from one to another, across the end of the field when the second is smaller. */
const range = (first: number, last: number, step: number, { from, names, to }: FieldOf): Test => {
  // Of weekdays 7 is 0 again.
  const size = names === weekdays ? 7 : to - from + 1
  const span = last >= first ? last - first : last - first + size
  return (value) => {
    for (let passed = 0; passed <= span; passed += step) {
      if ((first - from + passed - (value - from)) % size === 0) return true
    }
    return false
  }
}

const written = (field: FieldOf, value: number): fc.Arbitrary<string> =>
  fc.constantFrom(String(value), ...[field.names?.[value - (field.names === weekdays ? 0 : 1)] ?? []].flat())

/** Ranges across the end that are no slip of the pen: not of nearly all minutes, and not `7-1`. */
const crossesWell = ({ names, to }: FieldOf, first: number, last: number) =>
  names === weekdays ? first < 7 : to !== 59 || first - last > 15

const piece = (field: FieldOf): fc.Arbitrary<Piece> => {
  const { from, to } = field
  const value = fc.integer({ min: from, max: to })
  const step = fc.integer({ min: 1, max: to })
  const star = fc.constantFrom("*", "?")
  const ranges = fc.tuple(value, value)
    .filter(([first, last]) => last >= first || crossesWell(field, first, last))
    .chain(([first, last]) =>
      fc.tuple(written(field, first), written(field, last)).map(([one, other]) => ({
        text: `${one}-${other}`,
        first,
        last
      }))
    )
  const pieces: ReadonlyArray<fc.WeightedArbitrary<Piece>> = [
    { weight: 2, arbitrary: star.map((text) => ({ text, test: () => true })) },
    {
      weight: 2,
      arbitrary: fc.tuple(star, step).map(([text, step]) => ({
        text: `${text}/${step}`,
        test: range(from, to, step, field)
      }))
    },
    {
      weight: 4,
      arbitrary: value.chain((value) =>
        written(field, value).map((text) => ({ text, test: range(value, value, 1, field) }))
      )
    },
    {
      weight: 1,
      arbitrary: fc.tuple(value, step).map(([value, step]) => ({
        text: `${value}/${step}`,
        test: range(value, to, step, field)
      }))
    },
    { weight: 2, arbitrary: ranges.map(({ first, last, text }) => ({ text, test: range(first, last, 1, field) })) },
    {
      weight: 1,
      arbitrary: fc.tuple(ranges, step).map(([{ first, last, text }, step]) => ({
        text: `${text}/${step}`,
        test: range(first, last, step, field)
      }))
    },
    ...field.special === undefined ? [] : [{ weight: 4, arbitrary: field.special }]
  ]
  return fc.oneof(...pieces)
}

/** A list of pieces. */
const fieldOf = (field: FieldOf): fc.Arbitrary<Piece> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.array(piece(field), { minLength: 1, maxLength: 1 }) },
    { weight: 1, arbitrary: fc.array(piece(field), { minLength: 2, maxLength: 3 }) }
  ).map((pieces) => ({
    text: pieces.map(({ text }) => text).join(","),
    test: (value, day) => pieces.some(({ test }) => test(value, day))
  }))

const weekdayOn = (day: number, facts: DayFacts) => (facts.weekday + day - facts.day + 35) % 7

/** The weekday nearest to a day, tried outwards from it: before it on a Saturday, after it on a Sunday. */
const nearestWeekday = (wanted: number, facts: DayFacts): number => {
  const outwards = weekdayOn(wanted, facts) === 6 ? [0, -1, 1, 2] : [0, 1, -1, -2]
  return outwards.map((by) => wanted + by).find((day) =>
    day >= 1 && day <= facts.length && ![0, 6].includes(weekdayOn(day, facts))
  ) ?? NaN
}

const daySpecial: fc.Arbitrary<Piece> = fc.oneof(
  fc.integer({ min: 0, max: 30 }).chain((before) =>
    fc.boolean().map((weekday): Piece => ({
      text: `${before === 0 ? "L" : `l-${before}`}${weekday ? "W" : ""}`,
      test: (day, facts) => {
        const wanted = facts.length - before
        return wanted >= 1 && day === (weekday ? nearestWeekday(wanted, facts) : wanted)
      }
    }))
  ),
  fc.integer({ min: 1, max: 31 }).map((wanted): Piece => ({
    text: `${wanted}W`,
    test: (day, facts) => wanted <= facts.length && day === nearestWeekday(wanted, facts)
  }))
)

const weekdayName: FieldOf = { from: 0, to: 7, names: weekdays }

const weekdaySpecial: fc.Arbitrary<Piece> = fc.oneof(
  fc.integer({ min: 0, max: 7 }).chain((wanted) =>
    written(weekdayName, wanted).map((text): Piece => ({
      text: `${text}L`,
      test: (weekday, { day, length }) => weekday === wanted % 7 && day + 7 > length
    }))
  ),
  fc.integer({ min: 0, max: 7 }).chain((wanted) =>
    fc.tuple(written(weekdayName, wanted), fc.integer({ min: 1, max: 5 })).map(([text, nth]): Piece => ({
      text: `${text}#${nth}`,
      test: (weekday, { day }) => weekday === wanted % 7 && Math.ceil(day / 7) === nth
    }))
  )
)

const always: Piece = { text: "*", test: () => true }
const often = (field: fc.Arbitrary<Piece>) => fc.oneof(fc.constant(always), field)
const anyFacts: DayFacts = { month: 1, day: 1, weekday: 0, length: 31 }

const seconds = fieldOf({ from: 0, to: 59 })
const minutes = fieldOf({ from: 0, to: 59 })
// Where most clocks are changed.
const nightly = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.nat(2)).map(([first, more]): Piece => ({
  text: more === 0 ? String(first) : `${first}-${first + more}`,
  test: (value) => value >= first && value <= first + more
}))
const hours = fc.oneof(fieldOf({ from: 0, to: 23 }), nightly)
const days = often(fieldOf({ from: 1, to: 31, special: daySpecial }))
const monthsOfYear = often(fieldOf({ from: 1, to: 12, names: months }))
const daysOfWeek = often(fieldOf({ ...weekdayName, special: weekdaySpecial }))

const isOpen = ({ text }: Piece) => /^[*?]/.test(text)

/** An expression of five fields, or of six. */
export const anyExpression: fc.Arbitrary<Meaning> = fc.record({
  second: fc.option(seconds, { nil: undefined, freq: 3 }),
  minute: minutes,
  hour: hours,
  day: days,
  month: monthsOfYear,
  weekday: daysOfWeek
}).map(({ day, hour, minute, month, second, weekday }) => {
  const fields = [...second === undefined ? [] : [second], minute, hour, day, month, weekday]
  const text = fields.map(({ text }) => text).join(" ")
  return {
    [fc.toStringMethod]: () => JSON.stringify(text),
    text,
    isDay: (facts) => {
      const ofMonth = day.test(facts.day, facts)
      const ofWeek = weekday.test(facts.weekday, facts)
      return month.test(facts.month, facts) && (isOpen(day) || isOpen(weekday) ? ofMonth && ofWeek : ofMonth || ofWeek)
    },
    isMinute: (h, m) => hour.test(h, anyFacts) && minute.test(m, anyFacts),
    isSecond: (s) => second === undefined ? s === 0 : second.test(s, anyFacts),
    isOpenWithinDay: isOpen(minute) || isOpen(hour),
    isInterval: [second, minute, hour].some((field) => field !== undefined && /[*?/-]/.test(field.text))
  }
})
