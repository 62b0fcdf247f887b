/** Reads a request's body: bounded while it is read, plain JSON in UTF-8, nothing in it that is not in the contract. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import { Effect, Either, ParseResult, Schema } from "effect"
import { isUtf8 } from "node:buffer"
import type { IncomingMessage } from "node:http"
import { shown } from "../domain/Time.ts"
import { Empty } from "./Contract.ts"
import type { ProblemOf } from "./Problem.ts"
import { problem } from "./Problem.ts"

/** Bytes of a body without code. */
export const maxBodyBytes = 16 * 1024 * 1024

/** Bytes of a body with a zip of 50 MB in base64 and a payload. */
export const maxDeployBodyBytes = 90 * 1024 * 1024

type BodyProblem = ProblemOf<400> | ProblemOf<413> | ProblemOf<415>

const invalid = (detail: string) => problem(400, "BODY_INVALID", detail)
const tooLarge = (limit: number) => problem(413, "BODY_TOO_LARGE", `The body is larger than ${limit} bytes.`)

const jsonContentType = /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i

/** Whether the body is plain JSON by its headers. A form cannot send this type without a preflight. */
const checkHeaders = (headers: IncomingMessage["headers"]): BodyProblem | undefined => {
  const encoding = headers["content-encoding"]
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
    return problem(415, "UNSUPPORTED_ENCODING", "Send the body as it is: compressed bodies are not accepted.")
  }
  return jsonContentType.test(headers["content-type"] ?? "")
    ? undefined
    : problem(415, "CONTENT_TYPE_INVALID", "Send the header \"content-type: application/json\".")
}

// The length is counted while reading: a chunked body has none to check first.
const collect = (source: IncomingMessage, limit: number): Effect.Effect<Buffer, BodyProblem> =>
  Effect.async((resume) => {
    const chunks: Array<Buffer> = []
    let size = 0
    const onData = (chunk: Buffer) => {
      size += chunk.length
      if (size > limit) finish(Effect.fail(tooLarge(limit)))
      else chunks.push(chunk)
    }
    const onEnd = () => finish(Effect.succeed(Buffer.concat(chunks, size)))
    const onBreak = () => finish(Effect.fail(invalid("The connection ended before the body did.")))
    const finish = (result: Effect.Effect<Buffer, BodyProblem>) => {
      source.off("data", onData).off("end", onEnd).off("close", onBreak)
      resume(result)
    }
    // Stays: an error without a listener would end the process.
    source.on("error", onBreak)
    source.on("data", onData).on("end", onEnd).on("close", onBreak)
    return Effect.sync(() => finish(Effect.interrupt))
  })

const read = (source: IncomingMessage, limit: number): Effect.Effect<Buffer, BodyProblem> =>
  Number(source.headers["content-length"] ?? 0) > limit ? Effect.fail(tooLarge(limit)) : collect(source, limit)

const parse = (bytes: Buffer): Either.Either<unknown, BodyProblem> => {
  if (bytes.length === 0) return Either.left(invalid("Expected a JSON object, got an empty body."))
  if (!isUtf8(bytes)) return Either.left(problem(400, "BODY_NOT_UTF8", "The body is not valid UTF-8."))
  return Either.try({
    try: () => JSON.parse(bytes.toString("utf8")) as unknown,
    catch: () => invalid("The body is not valid JSON.")
  })
}

const instant = { code: "DATE_INVALID", expected: "an instant such as \"2027-01-01T09:00:00Z\"" }
const interval = { code: "INTERVAL_INVALID", expected: "a duration such as \"5 seconds\" or \"PT5S\"" }
const runs = { code: "MAX_RUNS_INVALID", expected: "a whole number of at least 1" }
const text = "a string"

/** Fields whose wrong type has a code of its own. */
const typed: Readonly<Record<string, { readonly code: string; readonly expected: string }>> = {
  name: { code: "NAME_TYPE", expected: text },
  function: { code: "NAME_TYPE", expected: text },
  qualifier: { code: "NAME_TYPE", expected: text },
  repeatEvery: interval,
  fixedRate: interval,
  initialDelay: interval,
  jitter: interval,
  totalRuns: runs,
  maxRuns: runs,
  zippedCodeBase64: { code: "ZIP_INVALID", expected: text },
  handler: { code: "HANDLER_INVALID", expected: text },
  runtime: { code: "RUNTIME_UNSUPPORTED", expected: text },
  timeout: { code: "TIMEOUT_INVALID", expected: "a duration of 1 to 900 seconds" },
  payloadJson: { code: "PAYLOAD_NOT_JSON", expected: "JSON text" },
  tags: { code: "TAGS_INVALID", expected: "an object of strings" },
  retry: { code: "RETRY_INVALID", expected: "what /docs shows" },
  "retry.baseDelay": interval,
  "retry.maxDelay": interval,
  "retry.maxAge": interval,
  "retry.maxWait": interval,
  "retry.deadline": interval,
  "retry.attemptTimeout": interval,
  "retry.maxAttempts": { code: "RETRY_INVALID", expected: "a whole number from 1 to 100" },
  "retry.onUnknown": { code: "RETRY_INVALID", expected: "\"retry\" or \"fail\"" },
  "retry.jitter": { code: "RETRY_INVALID", expected: "\"full\" or \"none\"" },
  "retry.backoff": { code: "RETRY_INVALID", expected: "\"exponential\", \"fixed\" or a list of delays" },
  id: { code: "ID_INVALID", expected: "a UUID" },
  priority: { code: "PRIORITY_INVALID", expected: "a whole number from -100 to 100" },
  overlap: { code: "OPTION_INVALID", expected: "a policy, or one with its bounds, as /docs shows them" },
  catchUp: { code: "OPTION_INVALID", expected: "a policy, or one with its bounds, as /docs shows them" },
  "catchUp.window": interval,
  pauseAfterFailures: { code: "OPTION_INVALID", expected: "a whole number from 1 to 1000" },
  by: { code: "OPTION_INVALID", expected: text },
  note: { code: "OPTION_INVALID", expected: text },
  until: instant,
  concurrency: { code: "OPTION_INVALID", expected: "a whole number from 1 to 1000" },
  startAt: instant,
  endAt: instant,
  after: instant,
  from: instant,
  to: instant,
  count: { code: "OPTION_INVALID", expected: "a whole number from 1 to 1000" },
  limit: { code: "OPTION_INVALID", expected: "a whole number from 1 to 10000" },
  filter: { code: "BODY_INVALID", expected: "an object" },
  "filter.function": { code: "NAME_TYPE", expected: text },
  "filter.name": { code: "NAME_TYPE", expected: text },
  "filter.scheduleId": { code: "ID_INVALID", expected: "a UUID" },
  "filter.ids": { code: "ID_INVALID", expected: "at most 1000 UUIDs" },
  "filter.reason": { code: "OPTION_INVALID", expected: "one reason, as /docs shows them" },
  "filter.finishedFrom": instant,
  "filter.finishedBefore": instant,
  "filter.dueFrom": instant,
  "filter.dueBefore": instant,
  trigger: { code: "BODY_INVALID", expected: "an object" },
  "trigger.at": instant,
  "trigger.after": interval,
  "trigger.spaced": interval,
  "trigger.fixed": interval,
  "trigger.cron": { code: "CRON_INVALID", expected: "a cron expression such as \"0 9 * * MON-FRI\"" },
  "trigger.calendar": { code: "BODY_INVALID", expected: "an object" },
  "trigger.calendar.every": { code: "INTERVAL_INVALID", expected: "\"day\", \"2 weeks\", \"month\" or the like" },
  "trigger.calendar.from": { code: "DATE_INVALID", expected: "date and time without an offset" },
  "trigger.calendar.missingDay": { code: "OPTION_INVALID", expected: "\"clamp\" or \"skip\"" },
  "trigger.expression": { code: "EXPRESSION_INVALID", expected: "at(...), rate(...) or cron(...)" },
  "trigger.timeZone": { code: "TIMEZONE_UNKNOWN", expected: "the name of a time zone such as \"Europe/Stockholm\"" },
  "trigger.gap": { code: "OPTION_INVALID", expected: "\"run-after\", \"skip\" or \"shift\"" },
  "trigger.overlap": { code: "OPTION_INVALID", expected: "\"default\", \"once\" or \"both\"" }
}
const typedOf = (field: string) => Object.hasOwn(typed, field) ? typed[field] : undefined

/** Says what does not fit, without repeating what came. */
const decodeProblem = (error: ParseResult.ParseError): BodyProblem => {
  const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
  const [step] = issue?.path ?? []
  if (issue === undefined || step === undefined) return invalid("Expected a JSON object.")
  const field = issue.path.map(String).join(".")
  switch (issue._tag) {
    case "Unexpected":
      return problem(400, "FIELD_UNKNOWN", `Unknown field ${shown(field)}.`)
    case "Missing":
      return invalid(`The field ${shown(field)} is missing.`)
    default: {
      const { code = "BODY_INVALID", expected = text } = typedOf(field.replace(/\.\d+$/, "")) ??
        typedOf(String(step)) ?? {}
      return problem(400, code, `${field.slice(0, 100)}: expected ${expected}`)
    }
  }
}

const decode = <A, I>(schema: Schema.Schema<A, I>, body: unknown): Either.Either<A, BodyProblem> =>
  Either.mapLeft(Schema.decodeUnknownEither(schema, { onExcessProperty: "error" })(body), decodeProblem)

/**
 * Reads and decodes a JSON body.
 *
 * @param limit bytes; what is larger is refused, at once where the length is announced
 * @returns the decoded body, or a problem: `CONTENT_TYPE_INVALID`, `UNSUPPORTED_ENCODING`, `BODY_TOO_LARGE`,
 * `BODY_NOT_UTF8`, `BODY_INVALID`, `FIELD_UNKNOWN`, or the code of a field of a wrong type
 *
 * @example
 * const body = yield* readBody(request, ScheduleRequest, maxBodyBytes)
 */
export const readBody = <A, I>(
  request: HttpServerRequest.HttpServerRequest,
  schema: Schema.Schema<A, I>,
  limit: number
): Effect.Effect<A, BodyProblem> =>
  Effect.suspend(() => {
    const source = NodeHttpServerRequest.toIncomingMessage(request)
    const refused = checkHeaders(source.headers)
    if (refused !== undefined) return Effect.fail(refused)
    return Effect.flatMap(read(source, limit), (bytes) => Either.flatMap(parse(bytes), (body) => decode(schema, body)))
  })

/**
 * For a request that may do without a body: then it is as if it were an empty JSON object. A form always sends a content
 * type of its own, and is refused by it; `curl -X POST` sends none.
 */
export const readOptionalBody = <A, I>(
  request: HttpServerRequest.HttpServerRequest,
  schema: Schema.Schema<A, I>,
  limit: number
): Effect.Effect<A, BodyProblem> =>
  Effect.suspend(() => {
    const { headers } = NodeHttpServerRequest.toIncomingMessage(request)
    const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0
    if (hasBody) return readBody(request, schema, limit)
    const refused = headers["content-type"] === undefined ? undefined : checkHeaders(headers)
    return refused === undefined ? decode(schema, {}) : Effect.fail(refused)
  })

/** For a request that needs no body. */
export const readNoBody = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<void, BodyProblem> =>
  Effect.asVoid(readOptionalBody(request, Empty, maxBodyBytes))
