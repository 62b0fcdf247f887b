/**
 * What went wrong, told from whatever the SDK throws: total and pure.
 *
 * The HTTP status decides before the name, because names lie: a 500 with a body that is not JSON is a `SyntaxError`,
 * a connection reset is a `TimeoutError`. Whether the request had left decides what a broken connection means.
 */
import { DeploymentError } from "../../domain/Deployment.ts"
import type { DeploymentErrorReason } from "../../domain/Deployment.ts"
import { InvocationError } from "../../domain/Invocation.ts"
import type { InvocationErrorReason } from "../../domain/Invocation.ts"
import type { Millis } from "../../domain/Time.ts"
import { credentialsMissing, tidy } from "./messages.ts"

/** What a failure says of itself. */
interface Facts {
  readonly status: number | undefined
  readonly name: string
  readonly code: string
  readonly message: string
  readonly requestId: string | undefined
  readonly retryAfter: Millis | undefined
  readonly throttleReason: string | undefined
}

const read = (value: unknown, key: string): unknown => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined
  try {
    return (value as Record<string, unknown>)[key]
  } catch {
    // A getter or a proxy that throws: it tells us nothing.
    return undefined
  }
}

const text = (value: unknown): string | undefined => typeof value === "string" && value !== "" ? value : undefined

const seconds = (value: unknown): Millis | undefined => {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value
  return typeof number === "number" && number >= 0 && number <= 86_400 ? Math.ceil(number * 1_000) : undefined
}

// "com.amazonaws.lambda#ServiceException:http://..." is how some faces spell a type.
const bareType = (type: string): string => type.replace(/:.*$/s, "").replace(/^.*#/s, "")

const factsOf = (error: unknown): Facts => {
  const metadata = read(error, "$metadata")
  const headers = read(read(error, "$response"), "headers")
  const status = read(metadata, "httpStatusCode")
  return {
    status: typeof status === "number" ? status : undefined,
    name: bareType(text(read(headers, "x-amzn-errortype")) ?? text(read(error, "name")) ?? ""),
    // Of several addresses that all failed, the first one's.
    code: text(read(error, "code")) ?? text(read(read(read(error, "errors"), "0"), "code")) ?? "",
    message: text(read(error, "message")) ?? text(error) ?? "",
    requestId: text(read(metadata, "requestId")),
    retryAfter: seconds(read(error, "retryAfterSeconds")) ?? seconds(read(headers, "retry-after")),
    throttleReason: text(read(error, "Reason"))
  }
}

const describe = (facts: Facts, secrets: ReadonlyArray<string>): string => {
  // The parser's complaint about a proxy's HTML page helps nobody.
  if (facts.name === "SyntaxError") return `HTTP ${facts.status ?? "answer"} with a body that is not Lambda's`
  const kind = facts.name === "" || facts.name === "Error" ? "" : facts.name
  const what = facts.message === "" ? facts.code : facts.message
  const status = kind === "" && what === "" && facts.status !== undefined ? `HTTP ${facts.status}` : ""
  return tidy([kind, what, status].filter((part) => part !== "").join(": "), secrets) || "Unknown failure"
}

const throttled = new Set([
  "TooManyRequestsException",
  "ThrottlingException",
  "Throttling",
  "ThrottledException",
  "RequestLimitExceeded",
  "RequestThrottled",
  "RequestThrottledException",
  "SlowDown"
])
const credentialsRefused = new Set([
  "ExpiredToken",
  "ExpiredTokenException",
  "RequestExpired",
  "RequestTimeTooSkewed",
  "UnrecognizedClientException",
  "InvalidClientTokenId",
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
  "IncompleteSignature",
  "IncompleteSignatureException",
  "MissingAuthenticationToken",
  "MissingAuthenticationTokenException",
  "InvalidAccessKeyId"
])
const credentialsAbsent = new Set([
  "CredentialsProviderError",
  "CredentialsError",
  "TokenProviderError",
  "ProviderError"
])
const notReady = new Set(["ResourceNotReadyException", "ResourceConflictException", "SnapStartNotReadyException"])
// Troubles of the function's network, file system or snapshot: AWS answers them with 4xx and 5xx alike.
const infrastructure = /^(EC2|ENI|EFS|SnapStart)/
const tooLarge = new Set(["RequestTooLargeException", "RequestEntityTooLargeException"])

// None of these can come from a connection that had been made.
const noConnection = /^(ECONNREFUSED|ENOTFOUND|EAI_|CERT_|ERR_TLS_|DEPTH_ZERO_|UNABLE_TO_|SELF_SIGNED_|HOSTNAME_)/

const answered = (facts: Facts, status: number): InvocationErrorReason => {
  const { name } = facts
  if (status === 429 || throttled.has(name)) return "Throttled"
  if (status === 401 || credentialsRefused.has(name)) return "CredentialsRejected"
  if (status === 409 || notReady.has(name)) return "NotReady"
  if (infrastructure.test(name)) return "ServiceError"
  // It was accepted, so it may have run: only the answer was lost on the way.
  if (status >= 200 && status < 300) return "NoAnswer"
  if (status === 403) return "AccessDenied"
  if (status === 404) return "NotFound"
  if (status === 413 || tooLarge.has(name)) return "PayloadTooLarge"
  return status >= 500 || status === 408 ? "ServiceError" : "Rejected"
}

const ofNetwork = (facts: Facts): boolean =>
  facts.code !== "" || facts.name === "TimeoutError" || facts.name === "AbortError"

const unanswered = (facts: Facts, left: boolean): InvocationErrorReason => {
  if (credentialsAbsent.has(facts.name)) return "MissingCredentials"
  if (noConnection.test(facts.code)) return "Unreachable"
  if (left) return "NoAnswer"
  // A status from before our own request left: the service that hands out credentials answered it.
  if (facts.status !== undefined) return "MissingCredentials"
  return ofNetwork(facts) ? "Unreachable" : "Rejected"
}

interface Throttle {
  readonly accountWide: boolean
  readonly throttle: "concurrency" | "rate"
}

/** By the Reason of a TooManyRequestsException. */
const throttles: ReadonlyMap<string, Throttle> = new Map([
  ["CallerRateLimitExceeded", { accountWide: true, throttle: "rate" }],
  ["ConcurrentInvocationLimitExceeded", { accountWide: true, throttle: "concurrency" }],
  ["ConcurrentSnapshotCreateLimitExceeded", { accountWide: true, throttle: "concurrency" }],
  ["FunctionInvocationRateLimitExceeded", { accountWide: false, throttle: "rate" }],
  ["ReservedFunctionConcurrentInvocationLimitExceeded", { accountWide: false, throttle: "concurrency" }],
  ["ReservedFunctionInvocationRateLimitExceeded", { accountWide: false, throttle: "rate" }]
])

/**
 * Names the failure of an invocation. Total: any value gives an answer, none throws.
 *
 * @param error whatever was thrown
 * @param left whether bytes of the request may have left this machine
 *
 * @example
 * classifyInvocation(Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }), true).reason // "NoAnswer"
 */
export const classifyInvocation = (error: unknown, left: boolean): InvocationError => {
  const facts = factsOf(error)
  const reason = left && facts.status !== undefined ? answered(facts, facts.status) : unanswered(facts, left)
  return new InvocationError({
    reason,
    message: reason === "MissingCredentials" ? credentialsMissing : describe(facts, []),
    ...(facts.requestId !== undefined && { requestId: facts.requestId }),
    ...(facts.retryAfter !== undefined && { retryAfter: facts.retryAfter }),
    ...(reason === "Throttled" && throttles.get(facts.throttleReason ?? ""))
  })
}

const deploymentReason = (facts: Facts): DeploymentErrorReason => {
  const { message, name, status } = facts
  if (credentialsAbsent.has(name)) return "MissingCredentials"
  if (status === undefined) return ofNetwork(facts) ? "Unreachable" : "Rejected"
  if (status === 429 || throttled.has(name)) return "Throttled"
  if (status === 401 || credentialsRefused.has(name)) return "CredentialsRejected"
  if (name === "CodeStorageExceededException") return "StorageExceeded"
  if (name === "InvalidParameterValueException") {
    if (message.includes("cannot be assumed by Lambda")) return "RoleNotAssumable"
    return /unzipped size must be smaller/i.test(message) ? "CodeTooLarge" : "Rejected"
  }
  if (status === 413 || tooLarge.has(name)) return "CodeTooLarge"
  if (status === 403) return "AccessDenied"
  if (status === 404) return "NotFound"
  // 412: it changed since we looked.
  if (status === 409 || status === 412) return "Conflict"
  return status >= 500 || status === 408 || status < 300 ? "ServiceError" : "Rejected"
}

/**
 * Names the failure of a call that deploys. Total: any value gives an answer, none throws.
 *
 * @param secrets values that must not appear in the message: those of the function's environment
 *
 * @example
 * classifyDeployment({ name: "ServiceException", $metadata: { httpStatusCode: 500 } }, "hello", []).reason // "ServiceError"
 */
export const classifyDeployment = (
  error: unknown,
  functionName: string,
  secrets: ReadonlyArray<string>
): DeploymentError => {
  const facts = factsOf(error)
  const reason = deploymentReason(facts)
  return new DeploymentError({
    reason,
    functionName,
    message: reason === "MissingCredentials" ? credentialsMissing : describe(facts, secrets)
  })
}
