/** What HttpApi says of the contract in OpenAPI otherwise than it is, or has no words for. */
import { badRequest } from "./Contract.ts"
import { problemContentType } from "./Problem.ts"

interface Body {
  readonly content?: Record<string, { readonly schema: { readonly $ref?: string } }>
}

interface Operation {
  readonly requestBody?: Body & { required: boolean }
  readonly responses: Record<string, Body & { readonly description: string; headers?: object }>
}

interface Specification {
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { readonly schemas: Record<string, unknown> }
}

const schemaOf = ({ content = {} }: Body): string | undefined =>
  Object.values(content)[0]?.schema.$ref?.replace("#/components/schemas/", "")

const badRequestAnswer = {
  description: badRequest,
  content: { [problemContentType]: { schema: { $ref: "#/components/schemas/Problem400" } } }
}
const etag = {
  ETag: { description: "The schedule's revision, in quotes, for If-Match", required: true, schema: { type: "string" } }
}

const withETag: ReadonlySet<string | undefined> = new Set(["Schedule", "Problem412"])
const optionalBodies: ReadonlySet<string | undefined> = new Set([
  "RedriveRequest",
  "PauseRequest",
  "RunScheduleRequest"
])

/**
 * Corrects a document: HttpApi adds its own decode error to every route, which never leaves this server but as a problem;
 * it takes every body for required; and it knows of no headers of answers.
 */
export const corrected = (spec: Record<string, any>): Record<string, any> => {
  const { components, paths } = spec as Specification
  for (const { requestBody, responses } of Object.values(paths).flatMap((path) => Object.values(path))) {
    responses["400"] = badRequestAnswer
    for (const answer of Object.values(responses)) if (withETag.has(schemaOf(answer))) answer.headers = etag
    if (requestBody !== undefined && optionalBodies.has(schemaOf(requestBody))) requestBody.required = false
  }
  for (const name of ["HttpApiDecodeError", "Issue", "PropertyKey"]) delete components.schemas[name]
  return spec
}
