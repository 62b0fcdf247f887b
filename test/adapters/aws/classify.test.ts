import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { classifyDeployment, classifyInvocation } from "../../../src/adapters/aws/classify.ts"
import { DeploymentError } from "../../../src/domain/Deployment.ts"
import { InvocationError } from "../../../src/domain/Invocation.ts"

const answer = (status: number, name: string, more: object = {}) =>
  Object.assign(new Error(`${name} happened`), {
    name,
    $metadata: { httpStatusCode: status, requestId: "r-1" },
    ...more
  })
const network = (code: string, name = "Error") => Object.assign(new Error(`${code} happened`), { name, code })

describe("classifyInvocation", () => {
  it.each<[what: string, error: unknown, left: boolean, reason: string, outcome: string]>([
    // 429
    ["429", answer(429, "TooManyRequestsException"), true, "Throttled", "throttled"],
    ["throttling with 400", answer(400, "ThrottlingException"), true, "Throttled", "throttled"],
    ["throttling with 503", answer(503, "RequestLimitExceeded"), true, "Throttled", "throttled"],
    // The service's own troubles
    ["500", answer(500, "ServiceException"), true, "ServiceError", "failed"],
    ["502 EC2 throttled", answer(502, "EC2ThrottledException"), true, "ServiceError", "failed"],
    ["502 EC2 unexpected", answer(502, "EC2UnexpectedException"), true, "ServiceError", "failed"],
    ["502 ENI limit", answer(502, "ENILimitReachedException"), true, "ServiceError", "failed"],
    ["403 EFS mount failure", answer(403, "EFSMountFailureException"), true, "ServiceError", "failed"],
    ["408 EFS mount timeout", answer(408, "EFSMountTimeoutException"), true, "ServiceError", "failed"],
    ["410 EFS input or output", answer(410, "EFSIOException"), true, "ServiceError", "failed"],
    ["502 KMS", answer(502, "KMSDisabledException"), true, "ServiceError", "failed"],
    ["502 zip", answer(502, "InvalidZipFileException"), true, "ServiceError", "failed"],
    ["502 runtime", answer(502, "InvalidRuntimeException"), true, "ServiceError", "failed"],
    ["400 SnapStart", answer(400, "SnapStartException"), true, "ServiceError", "failed"],
    ["408 SnapStart timeout", answer(408, "SnapStartTimeoutException"), true, "ServiceError", "failed"],
    ["503", answer(503, "ServiceUnavailable"), true, "ServiceError", "failed"],
    ["504", answer(504, "UnknownError"), true, "ServiceError", "failed"],
    ["500 without JSON", answer(500, "SyntaxError"), true, "ServiceError", "failed"],
    ["502 as HTML of a proxy", answer(502, "SyntaxError"), true, "ServiceError", "failed"],
    // Broken on the way
    ["reset after sending", network("ECONNRESET", "TimeoutError"), true, "NoAnswer", "unknown"],
    ["socket hang up", Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }), true, "NoAnswer", "unknown"],
    ["aborted in mid body", Object.assign(new Error("aborted"), answer(200, "Error")), true, "NoAnswer", "unknown"],
    ["broken pipe", network("EPIPE", "TimeoutError"), true, "NoAnswer", "unknown"],
    ["timeout after sending", network("ETIMEDOUT", "TimeoutError"), true, "NoAnswer", "unknown"],
    [
      "aborted request",
      Object.assign(new Error("Request aborted"), { name: "AbortError" }),
      true,
      "NoAnswer",
      "unknown"
    ],
    ["200 that cannot be read", answer(200, "SyntaxError"), true, "NoAnswer", "unknown"],
    ["junk after sending", 42, true, "NoAnswer", "unknown"],
    // Never left
    ["reset while connecting", network("ECONNRESET", "TimeoutError"), false, "Unreachable", "notSent"],
    ["refused", network("ECONNREFUSED"), false, "Unreachable", "notSent"],
    ["refused, whoever asks", network("ECONNREFUSED"), true, "Unreachable", "notSent"],
    ["no such host", network("ENOTFOUND"), true, "Unreachable", "notSent"],
    ["name service", network("EAI_AGAIN"), true, "Unreachable", "notSent"],
    ["certificate", network("CERT_HAS_EXPIRED"), false, "Unreachable", "notSent"],
    ["certificate chain", network("UNABLE_TO_VERIFY_LEAF_SIGNATURE"), true, "Unreachable", "notSent"],
    ["self signed", network("DEPTH_ZERO_SELF_SIGNED_CERT"), true, "Unreachable", "notSent"],
    ["TLS", network("EPROTO"), false, "Unreachable", "notSent"],
    ["wrong host in the certificate", network("ERR_TLS_CERT_ALTNAME_INVALID"), true, "Unreachable", "notSent"],
    ["connect timeout", network("ETIMEDOUT"), false, "Unreachable", "notSent"],
    ["no descriptor left", network("EMFILE"), false, "Unreachable", "notSent"],
    ["all addresses refused", new AggregateError([network("ECONNREFUSED")], ""), true, "Unreachable", "notSent"],
    ["a request that cannot be made", new TypeError("Invalid URL"), false, "Rejected", "failed"],
    // Credentials
    [
      "no credentials",
      Object.assign(new Error("Could not load credentials from any providers"), { name: "CredentialsProviderError" }),
      false,
      "MissingCredentials",
      "notSent"
    ],
    ["the credential service refuses", answer(403, "AccessDenied"), false, "MissingCredentials", "notSent"],
    ["expired", answer(403, "ExpiredTokenException"), true, "CredentialsRejected", "failed"],
    ["expired with 400", answer(400, "ExpiredTokenException"), true, "CredentialsRejected", "failed"],
    ["unknown key", answer(403, "UnrecognizedClientException"), true, "CredentialsRejected", "failed"],
    ["clock off", answer(403, "InvalidSignatureException"), true, "CredentialsRejected", "failed"],
    ["access denied", answer(403, "AccessDeniedException"), true, "AccessDenied", "failed"],
    // The function
    ["not found", answer(404, "ResourceNotFoundException"), true, "NotFound", "failed"],
    ["conflict", answer(409, "ResourceConflictException"), true, "NotReady", "notReady"],
    ["not ready", answer(502, "ResourceNotReadyException"), true, "NotReady", "notReady"],
    ["SnapStart not ready", answer(409, "SnapStartNotReadyException"), true, "NotReady", "notReady"],
    // The request
    ["too large", answer(413, "RequestTooLargeException"), true, "PayloadTooLarge", "failed"],
    ["not JSON", answer(400, "InvalidRequestContentException"), true, "Rejected", "failed"],
    ["bad parameter", answer(400, "InvalidParameterValueException"), true, "Rejected", "failed"],
    ["media type", answer(415, "UnsupportedMediaTypeException"), true, "Rejected", "failed"],
    ["moved", answer(301, "UnknownError"), true, "Rejected", "failed"]
  ])("%s", (_, error, left, reason, outcome) => {
    const classified = classifyInvocation(error, left)
    expect([classified.reason, classified.outcome]).toEqual([reason, outcome])
  })

  it.each<[string, boolean | undefined]>([
    ["ConcurrentInvocationLimitExceeded", true],
    ["CallerRateLimitExceeded", true],
    ["ConcurrentSnapshotCreateLimitExceeded", true],
    ["FunctionInvocationRateLimitExceeded", false],
    ["ReservedFunctionConcurrentInvocationLimitExceeded", false],
    ["ReservedFunctionInvocationRateLimitExceeded", false],
    ["toString", undefined]
  ])("says whether a throttle concerns the account: %s", (Reason, accountWide) => {
    const error = classifyInvocation(answer(429, "TooManyRequestsException", { Reason }), true)
    expect(error.accountWide).toBe(accountWide)
  })

  it.each<[string, object, number | undefined]>([
    ["as the SDK reads it", { retryAfterSeconds: "2" }, 2_000],
    ["from the header", { $response: { headers: { "retry-after": "0.5" } } }, 500],
    ["not as a date", { retryAfterSeconds: "Wed, 21 Oct 2026 07:28:00 GMT" }, undefined],
    ["not negative", { retryAfterSeconds: "-1" }, undefined],
    ["not for ever", { retryAfterSeconds: "1e12" }, undefined]
  ])("takes Retry-After %s", (_, more, retryAfter) => {
    expect(classifyInvocation(answer(429, "TooManyRequestsException", more), true).retryAfter).toBe(retryAfter)
  })

  it("prefers the wire's error type to a parser's complaint", () => {
    const $response = {
      headers: { "x-amzn-errortype": "com.amazonaws.lambda#ResourceNotReadyException:http://internal/" }
    }
    expect(classifyInvocation(answer(502, "SyntaxError", { $response }), true).reason).toBe("NotReady")
  })

  it("says exactly when there are no credentials", () => {
    const error = Object.assign(new Error("tried: env, ini, process"), { name: "CredentialsProviderError" })
    expect(classifyInvocation(error, false).message).toBe("AWS credentials not found")
    expect(classifyDeployment(error, "f", []).message).toBe("AWS credentials not found")
  })

  it("shows neither keys nor what follows the first line", () => {
    const message = "The key AKIAIOSFODNN7EXAMPLE is off\nx-amz-security-token:IQoJb3JpZ2luX2Vj"
    const shown = classifyInvocation(Object.assign(answer(403, "InvalidSignatureException"), { message }), true).message
    expect(shown).toBe("InvalidSignatureException: The key <access key> is off")
  })
})

describe("classifyDeployment", () => {
  const role = { message: "The role defined for the function cannot be assumed by Lambda." }
  it.each<[what: string, error: unknown, reason: string]>([
    ["role not there yet", answer(400, "InvalidParameterValueException", role), "RoleNotAssumable"],
    ["another bad parameter", answer(400, "InvalidParameterValueException"), "Rejected"],
    [
      "unzipped too large",
      answer(400, "InvalidParameterValueException", { message: "Unzipped size must be smaller than 262144000 bytes" }),
      "CodeTooLarge"
    ],
    ["zip too large", answer(413, "RequestEntityTooLargeException"), "CodeTooLarge"],
    ["storage full", answer(400, "CodeStorageExceededException"), "StorageExceeded"],
    ["exists", answer(409, "ResourceConflictException"), "Conflict"],
    ["changed meanwhile", answer(412, "PreconditionFailedException"), "Conflict"],
    ["not found", answer(404, "ResourceNotFoundException"), "NotFound"],
    ["throttled", answer(429, "TooManyRequestsException"), "Throttled"],
    ["access denied", answer(403, "AccessDeniedException"), "AccessDenied"],
    ["expired", answer(403, "ExpiredTokenException"), "CredentialsRejected"],
    ["service", answer(500, "ServiceException"), "ServiceError"],
    ["HTML", answer(502, "SyntaxError"), "ServiceError"],
    ["200 that cannot be read", answer(200, "SyntaxError"), "ServiceError"],
    ["refused", network("ECONNREFUSED"), "Unreachable"],
    ["timeout", network("ETIMEDOUT", "TimeoutError"), "Unreachable"],
    ["a request that cannot be made", new TypeError("Invalid URL"), "Rejected"]
  ])("%s", (_, error, reason) => {
    expect(classifyDeployment(error, "f", []).reason).toBe(reason)
  })

  it("keeps values of the environment out of the message", () => {
    const message = `Refused: {"A":"say \\"hunter2\\"","B":"hunter2hunter2"}`
    const shown = classifyDeployment(answer(400, "InvalidParameterValueException", { message }), "f", [
      "hunter2hunter2",
      "say \\\"hunter2\\\""
    ]).message
    expect(shown).toBe(`InvalidParameterValueException: Refused: {"A":"<redacted>","B":"<redacted>"}`)
  })
})

describe("both are total", () => {
  const hostile = fc.constantFrom<unknown>(
    new Proxy({}, {
      get() {
        throw new Error("trap")
      }
    }),
    Proxy.revocable({}, {}).proxy,
    Object.create(null),
    {
      get name() {
        throw new Error("getter")
      }
    },
    { name: Symbol("s"), message: 1n, code: {}, $metadata: { httpStatusCode: "500" }, $response: { headers: null } },
    { $metadata: { httpStatusCode: NaN }, retryAfterSeconds: Infinity, Reason: "__proto__" }
  )
  const anyError = fc.oneof(
    fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withTypedArray: true }),
    hostile,
    fc.record({
      name: fc.anything(),
      message: fc.anything(),
      code: fc.anything(),
      Reason: fc.anything(),
      retryAfterSeconds: fc.anything(),
      $metadata: fc.oneof(fc.anything(), fc.record({ httpStatusCode: fc.oneof(fc.integer(), fc.anything()) })),
      $response: fc.oneof(fc.anything(), fc.record({ headers: fc.anything() }))
    }, { requiredKeys: [] })
  )

  it("answers anything, and never throws", () => {
    fc.assert(
      fc.property(anyError, fc.boolean(), (error, left) => {
        const invocation = classifyInvocation(error, left)
        expect(invocation).toBeInstanceOf(InvocationError)
        expect(invocation.message.length).toBeGreaterThan(0)
        expect(invocation.message.length).toBeLessThanOrEqual(500)
        // What has not left cannot have run, and what left for an unknown fate must not be called unsent.
        if (!left) expect(invocation.outcome).not.toBe("unknown")
        expect(classifyDeployment(error, "f", ["abcd"])).toBeInstanceOf(DeploymentError)
      }),
      { numRuns: 500 }
    )
  })
})
