/** Errors as the HTTP face answers them: problem documents (RFC 9457) with a stable `code`. */
import * as HttpApiSchema from "@effect/platform/HttpApiSchema"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { Schema } from "effect"

const titles = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  412: "Precondition Failed",
  413: "Payload Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  428: "Precondition Required",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable"
} as const

export type ProblemStatus = keyof typeof titles

/** What went wrong, for people (`detail`) and for programs (`code`). */
export interface ProblemOf<Status extends ProblemStatus> {
  readonly type: "about:blank"
  readonly title: string
  readonly status: Status
  readonly detail: string
  readonly code: string
}
export type Problem = { readonly [Status in ProblemStatus]: ProblemOf<Status> }[ProblemStatus]

/**
 * Makes a problem.
 *
 * @param code stable, in upper snake case
 *
 * @example
 * problem(404, "TASK_NOT_FOUND", "No Task is named \"hello\".")
 */
export const problem = <Status extends ProblemStatus>(
  status: Status,
  code: string,
  detail: string
): ProblemOf<Status> => ({ type: "about:blank", title: titles[status], status, detail, code })

export const problemContentType = "application/problem+json"

/** The problem of one status, as the contract shows it. */
export const problemSchema = <Status extends ProblemStatus>(
  status: Status,
  description: string
): Schema.Schema<ProblemOf<Status>> =>
  Schema.Struct({
    type: Schema.Literal("about:blank"),
    title: Schema.String,
    status: Schema.Literal(status),
    detail: Schema.String.annotations({ description: "What went wrong, for people." }),
    code: Schema.String.annotations({ description: "What went wrong, for programs: it does not change." })
  }).pipe(
    HttpApiSchema.withEncoding({ kind: "Json", contentType: problemContentType })
  ).annotations(HttpApiSchema.annotations({ status, description, identifier: `Problem${status}` }))

/** Whether a failure is a problem already. */
export const isProblem = (failure: unknown): failure is Problem =>
  typeof failure === "object" && failure !== null && "type" in failure && failure.type === "about:blank"

/** A problem as an answer. */
export const problemResponse = (
  problem: Problem,
  headers: Readonly<Record<string, string>> = {}
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify(problem), {
    status: problem.status,
    contentType: problemContentType,
    headers: problem.status === 401 ? { ...headers, "www-authenticate": "Bearer" } : headers
  })
