/** What Lambda's answer to an invocation means: pure. */
import type { InvokeCommandOutput } from "@aws-sdk/client-lambda"
import { Either } from "effect"
import { bodyFromBytes, InvocationError } from "../../domain/Invocation.ts"
import type { InvocationBody, InvocationResult } from "../../domain/Invocation.ts"

/** What is taken of an answer, in bytes: Lambda's own limit of 6 MB and some slack. The rest is not read. */
export const maxAnswerBytes = 6 * 1024 * 1024 + 64 * 1024

/** Reads an answer up to the cap and one byte, which shows that there was more. */
export const collectAnswer = async (stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  let size = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    size += chunk.byteLength
    // Leaving the loop destroys the stream and its connection.
    if (size > maxAnswerBytes) break
  }
  return Buffer.concat(chunks).subarray(0, maxAnswerBytes + 1)
}

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80

const bodyOf = (bytes: Uint8Array): InvocationBody => {
  if (bytes.byteLength <= maxAnswerBytes) return bodyFromBytes(bytes)
  // Not through the middle of a character: half of one would make base64 of all the text.
  let end = maxAnswerBytes
  while (end > maxAnswerBytes - 4 && isContinuation(bytes[end])) end--
  return { ...bodyFromBytes(bytes.subarray(0, end)), truncated: true }
}

interface ErrorPayload {
  readonly errorType: string | undefined
  readonly errorMessage: string | undefined
}

const errorPayload = (text: string): ErrorPayload => {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // Runtimes may answer anything; the text itself is kept as the payload.
    parsed = undefined
  }
  const field = (name: string): string | undefined => {
    const value = typeof parsed === "object" && parsed !== null && Object.hasOwn(parsed, name)
      ? (parsed as Record<string, unknown>)[name]
      : undefined
    return typeof value === "string" ? value : undefined
  }
  return { errorType: field("errorType"), errorMessage: field("errorMessage") }
}

// Older runtimes name no type: `2026-01-01T00:00:00.000Z <request id> Task timed out after 3.00 seconds`.
const isTimeout = ({ errorMessage, errorType }: ErrorPayload): boolean =>
  errorType === undefined
    ? /Task timed out after [\d.]+ seconds$/.test(errorMessage ?? "")
    : errorType === "Sandbox.Timedout"

const longestMessage = 1_000

/**
 * Tells a result from a function's own failure, which Lambda answers with HTTP 200 too.
 *
 * @returns the result, or `InvocationError` with reason `FunctionError` or `FunctionTimeout`
 *
 * @example
 * readAnswer({ $metadata: {}, StatusCode: 200, Payload }) // Either.right({ body: { text: "{}", encoding: "utf8" }, ... })
 */
export const readAnswer = (output: InvokeCommandOutput): Either.Either<InvocationResult, InvocationError> => {
  const body = bodyOf(output.Payload ?? new Uint8Array())
  const requestId = output.$metadata.requestId
  const executedVersion = output.ExecutedVersion
  const logTail = output.LogResult === undefined ? undefined : Buffer.from(output.LogResult, "base64").toString("utf8")
  if (output.FunctionError === undefined) return Either.right({ body, requestId, executedVersion, logTail })
  const error = body.encoding === "utf8" ? errorPayload(body.text) : { errorType: undefined, errorMessage: undefined }
  return Either.left(
    new InvocationError({
      reason: isTimeout(error) ? "FunctionTimeout" : "FunctionError",
      message: (error.errorMessage ?? `The function failed (${output.FunctionError})`).slice(0, longestMessage),
      payload: body.text,
      ...(error.errorType !== undefined && { errorType: error.errorType }),
      ...(requestId !== undefined && { requestId }),
      ...(executedVersion !== undefined && { executedVersion }),
      ...(logTail !== undefined && { logTail })
    })
  )
}
