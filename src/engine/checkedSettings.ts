/** Refuses settings that nothing could work by, before anything works. */
import { Effect } from "effect"
import { InvalidInput } from "../domain/Errors.ts"
import { shown } from "../domain/Time.ts"
import type { EngineSettings } from "./EngineConfig.ts"

interface Rule {
  readonly expected: string
  readonly holds: (value: number) => boolean
}

const wholeFrom = (least: number): Rule => ({
  expected: `a whole number of at least ${least}`,
  holds: (value) => Number.isSafeInteger(value) && value >= least
})

const boundFrom = (least: number): Rule => ({
  expected: `a number of at least ${least}, or Infinity`,
  holds: (value) => value >= least
})

const share: Rule = { expected: "a number above 0, up to 1", holds: (value) => value > 0 && value <= 1 }

const rulesOfBreaker: Readonly<Record<keyof EngineSettings["breaker"], Rule>> = {
  window: wholeFrom(1),
  windowAge: boundFrom(1),
  minimumCalls: boundFrom(1),
  failureRate: share,
  openFor: wholeFrom(1),
  longestOpen: wholeFrom(1),
  probes: wholeFrom(1),
  probeDeadline: wholeFrom(1)
}

const rulesOfLimiter: Readonly<Record<keyof EngineSettings["limiter"], Rule>> = {
  least: boundFrom(0),
  most: boundFrom(0)
}

const wrongOf = (
  prefix: string,
  values: Readonly<Record<string, unknown>>,
  ruleOf: (name: string) => Rule | undefined
): string | undefined => {
  for (const [name, value] of Object.entries(values)) {
    const rule = ruleOf(name)
    if (rule === undefined || (typeof value === "number" && rule.holds(value))) continue
    return `${prefix}${name}: expected ${rule.expected}, got ${shown(value)}`
  }
  return undefined
}

/** These are no numbers. */
const others: ReadonlySet<string> = new Set(["retry", "breaker", "classify", "limiter"])

/**
 * The settings, if all of their numbers make sense.
 *
 * @returns `InvalidInput` with the reason `OptionInvalid` that names the first that does not
 *
 * @example
 * checkedSettings({ ...EngineConfig.defaults, horizon: Number.NaN }) // fails
 */
export const checkedSettings = (settings: EngineSettings): Effect.Effect<EngineSettings, InvalidInput> => {
  const wrong = wrongOf("", { ...settings }, (name) => others.has(name) ? undefined : wholeFrom(0)) ??
    wrongOf("breaker.", { ...settings.breaker }, (name) => rulesOfBreaker[name as keyof typeof rulesOfBreaker]) ??
    wrongOf("limiter.", { ...settings.limiter }, (name) => rulesOfLimiter[name as keyof typeof rulesOfLimiter])
  return wrong === undefined
    ? Effect.succeed(settings)
    : new InvalidInput({
      reason: "OptionInvalid",
      field: wrong.slice(0, wrong.indexOf(":")),
      message: `EngineConfig: ${wrong}`
    })
}
