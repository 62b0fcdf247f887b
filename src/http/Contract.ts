/** What the parts of the contract share: problems, words, pages. */
import { Option, Schema, SchemaAST } from "effect"
import { problemSchema } from "./Problem.ts"

export const badRequest = "Something in the request cannot be accepted. Nothing was stored."
export const BadRequest = problemSchema(400, badRequest)
export const Unauthorized = problemSchema(401, "The API key is missing or wrong.")
export const Forbidden = problemSchema(403, "The Host or the Origin of the request is not allowed.")
export const NotFound = problemSchema(404, "There is no such Task, schedule or backfill.")
export const Conflict = problemSchema(409, "The request contradicts what is there already; the code says how.")
export const PreconditionFailed = problemSchema(412, "The schedule has another revision than the request was made for.")
export const TooLarge = problemSchema(413, "The body, the payload or the zip is too large.")
export const UnsupportedMediaType = problemSchema(415, "The body is not plain application/json.")
export const PreconditionRequired = problemSchema(428, "The header If-Match is missing.")
export const ServerFault = problemSchema(500, "The server has a fault; its log says which.")
export const BadGateway = problemSchema(502, "The function could not be deployed. Nothing was stored.")
export const Unavailable = problemSchema(503, "The scheduler or its store is not available.")

/** What an annotation of its own JSON Schema would leave out. */
const withDescription = <A, I>(schema: Schema.Schema<A, I>, description: string) => {
  const jsonSchema = Option.getOrUndefined(SchemaAST.getJSONSchemaAnnotation(schema.ast))
  return schema.annotations({
    description,
    ...(jsonSchema === undefined ? {} : { jsonSchema: { ...jsonSchema, description } })
  })
}

/** An optional field. */
export const described = <A, I>(schema: Schema.Schema<A, I>, description: string) =>
  Schema.optionalWith(withDescription(schema, description), { exact: true })

export const FunctionName = Schema.String.annotations({
  description: "1 to 64 letters, digits, - or _",
  jsonSchema: { type: "string", minLength: 1, maxLength: 64, pattern: "^[a-zA-Z0-9-_]+$" },
  examples: ["hello"]
})

export const Duration = Schema.Union(Schema.String, Schema.Number).annotations({
  examples: ["5 seconds", "PT5S", 5000]
})

export const Runs = Schema.Number.annotations({ jsonSchema: { type: "integer", minimum: 1 } })

/** Annotations of a query that has no parameters but its own. */
export const strict = { parseOptions: { onExcessProperty: "error" } } as const

/** An object without fields. (`Schema.Struct({})` takes any, and what is no object.) */
export const Empty = Schema.Struct({}).pipe(
  Schema.filter((fields) => typeof fields === "object" && !Array.isArray(fields) && Object.keys(fields).length === 0)
)

/** Most rows on a page. */
export const maxPageSize = 1_000

/** The page that a query asks for. */
export const pageQuery = (whereCursorsAre: string) => ({
  limit: described(
    Schema.NumberFromString.pipe(Schema.int(), Schema.between(1, maxPageSize)),
    `How many to answer, 1 to ${maxPageSize}. Default: ${maxPageSize}`
  ),
  cursor: described(Schema.String, `Where to go on, from ${whereCursorsAre} of the page before`)
})
