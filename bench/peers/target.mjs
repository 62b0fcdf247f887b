/**
 * What is called when it matters how: a target that takes so many calls at once and so many a second, or is down. It keeps
 * every call, and the figures are of these. Nothing in here waits: who calls it does, on a clock of its own.
 */

/** As many Tasks or jobs as are due at once. */
export const called = 5_000

/** The target that throttles: calls at once and a second, of which it takes a second's at once; milliseconds that one runs. */
export const throttling = { concurrency: 50, rate: 200, runs: 100 }

/** Milliseconds that a call runs when there is no outage. */
export const wellRuns = 10

/** From here on the share of the allowed rate is measured: what was saved up before is used, what is to be learned is known. */
const settledAfter = 10_000
/** So much of the rate without an outage counts as all of it. */
const fullShare = 0.9
/** What is under way when an outage begins is no sign of what is done about it. */
const reaction = 2_000

export const makeTarget = ({ concurrency = Infinity, downUntil = -Infinity, now, rate = Infinity }) => {
  const calls = []
  let ended = 0
  let running = 0
  let tokens = rate
  let tokensAt = now()
  const refusal = (at) => {
    if (at < downUntil) return "down"
    if (running >= concurrency) return "concurrency"
    if (rate === Infinity) return undefined
    tokens = Math.min(rate, tokens + ((at - tokensAt) * rate) / 1_000)
    tokensAt = at
    if (tokens < 1) return "rate"
    tokens--
    return undefined
  }
  return {
    calls,
    ended: () => ended,
    /** Why the call is refused, at once; `undefined`: it runs until `end`. */
    begin: () => {
      const at = now()
      const refused = refusal(at)
      calls.push({ at, refused })
      if (refused === undefined) running++
      return refused
    },
    end: () => {
      running--
      ended++
    }
  }
}

const takenOf = (calls) => calls.filter(({ refused }) => refused === undefined).map(({ at }) => at)

/** Of instants in order: the most within a second. */
export const bestSecond = (instants) => {
  let first = 0
  let most = 0
  for (let last = 0; last < instants.length; last++) {
    while (instants[first] <= instants[last] - 1_000) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}

/** Without what never came to be. */
const known = (figures) => figures.filter(({ value }) => Number.isFinite(value))

/** The rate is looked at while more than a second's worth is left to do: the last stragglers are in `done`. */
export const throttledFigures = ({ calls }, from) => {
  const { rate } = throttling
  const taken = takenOf(calls)
  const begin = from + settledAfter
  const end = taken[taken.length - 1 - rate]
  const counted = taken.filter((at) => at >= begin && at < end).length
  return known([
    { metric: "calls_per_success", value: calls.length / taken.length, unit: "calls" },
    { metric: "rate_share", value: end > begin ? (100 * counted * 1_000) / (rate * (end - begin)) : NaN, unit: "%" },
    { metric: "done", value: (taken[taken.length - 1] - from) / 1_000, unit: "s" }
  ])
}

/** `full`: the most calls within a second that the same program made without an outage. */
export const outageFigures = ({ calls }, from, until, full) => {
  const during = calls.filter(({ at }) => at >= from && at < until).map(({ at }) => at)
  const taken = takenOf(calls)
  const many = Math.ceil(fullShare * full)
  const back = taken.find((at, index) => at - taken[index + 1 - many] < 1_000)
  return known([
    { metric: "outage_most_calls", value: bestSecond(during.filter((at) => at >= from + reaction)), unit: "1/s" },
    { metric: "outage_mean_calls", value: (during.length * 1_000) / (until - from), unit: "1/s" },
    { metric: "to_full_rate", value: (back - until) / 1_000, unit: "s" },
    { metric: "done", value: (taken[taken.length - 1] - until) / 1_000, unit: "s" }
  ])
}
