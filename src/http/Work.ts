/** From a request of the compatibility routes to work: what to run, when, and with what. Pure. */
import { Effect, Either } from "effect"
import { InvalidInput } from "../domain/Errors.ts"
import type { AnyLambdaFunction } from "../domain/LambdaFunction.ts"
import { existing, inline, parseName, parseReference, zip } from "../domain/LambdaFunction.ts"
import type { DurationInput, Millis } from "../domain/Time.ts"
import { parseDuration } from "../domain/Time.ts"
import type { OnceTrigger, RecurringTrigger } from "../domain/Trigger.ts"
import { after, fixed, now, spaced } from "../domain/Trigger.ts"
import type { CreateAndScheduleRequest, ScheduleRequest, WorkRequest } from "./CompatibilityApi.ts"

export type Plan =
  | { readonly _tag: "Once"; readonly trigger: OnceTrigger }
  | {
    readonly _tag: "Again"
    readonly trigger: RecurringTrigger
    readonly initialDelay: Millis | undefined
    readonly maxRuns: number | undefined
  }

/** What to hand to the scheduler. */
export interface Work {
  readonly fn: AnyLambdaFunction
  readonly name: string
  readonly payload: { readonly payload?: unknown; readonly payloadJson?: string }
  readonly plan: Plan
}

// Shows that it ran, and with what; the same source for every name, so that one zip serves them all.
const demoSource = `export const handler = async (event, context) => ({
  message: \`Hello from \${context.functionName}\`,
  received: event
})
`

/** The scheduler's words for what these routes call otherwise. */
const fields: Readonly<Record<string, string>> = {
  payload: "jsonPayload",
  payloadJson: "jsonPayload",
  maxRuns: "totalRuns",
  "trigger.spaced": "repeatEvery",
  "trigger.fixed": "fixedRate",
  "trigger.after": "initialDelay",
  zip: "zippedCodeBase64",
  "code.zip": "zippedCodeBase64"
}

const renamed = (error: InvalidInput): InvalidInput => {
  const field = fields[error.field]
  return field === undefined || !error.message.startsWith(`${error.field}:`)
    ? error
    : new InvalidInput({ reason: error.reason, field, message: `${field}${error.message.slice(error.field.length)}` })
}

/** Says what is wrong with a request in the words that it was made in. */
export const inItsWords = <A, E, R>(
  self: Effect.Effect<A, E | InvalidInput, R>
): Effect.Effect<A, E | InvalidInput, R> =>
  Effect.mapError(self, (error) => error instanceof InvalidInput ? renamed(error) : error)

const duration = (input: string | number | undefined, field: string): Either.Either<Millis | undefined, InvalidInput> =>
  input === undefined ? Either.right(undefined) : parseDuration(input, field)

const refuse = (reason: InvalidInput["reason"], field: string, message: string) =>
  Either.left(new InvalidInput({ reason, field, message: `${field}: ${message}` }))

const planOf = (request: WorkRequest): Either.Either<Plan, InvalidInput> =>
  Either.gen(function*() {
    const repeatEvery = yield* duration(request.repeatEvery, "repeatEvery")
    const fixedRate = yield* duration(request.fixedRate, "fixedRate")
    const initialDelay = yield* duration(request.initialDelay, "initialDelay")
    if (repeatEvery !== undefined && fixedRate !== undefined) {
      return yield* refuse("ScheduleAmbiguous", "fixedRate", "give either repeatEvery or fixedRate, not both")
    }
    const trigger = repeatEvery !== undefined
      ? spaced(repeatEvery)
      : fixedRate !== undefined
      ? fixed(fixedRate)
      : undefined
    if (trigger !== undefined) {
      return { _tag: "Again" as const, trigger, initialDelay, maxRuns: request.totalRuns }
    }
    if (request.totalRuns !== undefined) {
      return yield* refuse(
        "MaxRunsInvalid",
        "totalRuns",
        "needs repeatEvery or fixedRate; without them there is one run"
      )
    }
    return { _tag: "Once" as const, trigger: initialDelay === undefined ? now : after(initialDelay) }
  })

// A string is JSON text, to be delivered as it is; everything else is a value, to be serialised.
const payloadOf = ({ jsonPayload }: WorkRequest): Work["payload"] =>
  typeof jsonPayload === "string"
    ? { payloadJson: jsonPayload }
    : { payload: jsonPayload === undefined ? {} : jsonPayload }

const workOf = (request: WorkRequest, fn: AnyLambdaFunction): Either.Either<Work, InvalidInput> =>
  Either.zipWith(parseName(request.name, "name"), planOf(request), (name, plan) => ({
    fn,
    name,
    payload: payloadOf(request),
    plan
  }))

/**
 * The work of `POST /schedule`: the demo function under the caller's name, or a function that exists.
 *
 * @returns the work, or `InvalidInput`
 */
export const scheduleWork = (request: ScheduleRequest): Either.Either<Work, InvalidInput> =>
  request.function === undefined
    ? workOf(request, inline(request.name, demoSource))
    : Either.andThen(parseReference(request.function, "function"), workOf(request, existing(request.function)))

/**
 * The work of `POST /createAndSchedule`: the caller's code.
 *
 * @returns the work, or `InvalidInput`
 */
export const createAndScheduleWork = (request: CreateAndScheduleRequest): Either.Either<Work, InvalidInput> =>
  workOf(
    request,
    zip(request.name, request.zippedCodeBase64, {
      handler: request.handler,
      runtime: request.runtime,
      timeout: request.timeout as DurationInput | undefined
    })
  )
