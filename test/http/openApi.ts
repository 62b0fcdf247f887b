/** Holds requests and answers against the OpenAPI document: of JSON Schema as much as the document uses. */
import { expect } from "@effect/vitest"
import type { Answer } from "./support.ts"

interface JsonSchema {
  readonly $ref?: string
  readonly type?: string
  readonly enum?: ReadonlyArray<unknown>
  readonly anyOf?: ReadonlyArray<JsonSchema>
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: ReadonlyArray<string>
  readonly additionalProperties?: boolean | JsonSchema
  readonly items?: JsonSchema
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly format?: string
}

interface Operation {
  readonly summary?: string
  readonly description?: string
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly in: string }>
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: JsonSchema }>> }
  readonly responses: Readonly<
    Record<string, {
      readonly content?: Readonly<Record<string, { readonly schema: JsonSchema }>>
      readonly headers?: Readonly<Record<string, object>>
    }>
  >
}

export interface Specification {
  readonly info: { readonly title: string; readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, JsonSchema & { readonly examples?: unknown }>> }
}

const typeOf = (value: unknown): string => value === null ? "null" : Array.isArray(value) ? "array" : typeof value

const isType = (value: unknown, type: string): boolean =>
  type === "integer" ? Number.isInteger(value) : typeOf(value) === type

/** Where and why a value does not match; empty when it does. */
const mismatches = (
  spec: Specification,
  schema: JsonSchema,
  value: unknown,
  at = "$"
): ReadonlyArray<string> => {
  if (schema.$ref !== undefined) {
    const referred = spec.components.schemas[schema.$ref.replace("#/components/schemas/", "")]
    if (referred === undefined) return [`${at}: ${schema.$ref} leads nowhere`]
    return [
      ...mismatches(spec, referred, value, at),
      ...mismatches(spec, { ...schema, $ref: undefined } as object, value, at)
    ]
  }
  const found: Array<string> = []
  const must = (holds: boolean, what: string) => {
    if (!holds) found.push(`${at}: ${what}, got ${JSON.stringify(value)?.slice(0, 100)}`)
  }
  if (schema.anyOf !== undefined) {
    must(schema.anyOf.some((one) => mismatches(spec, one, value, at).length === 0), "matches none of anyOf")
  }
  if (schema.type !== undefined) must(isType(value, schema.type), `is no ${schema.type}`)
  if (schema.enum !== undefined) must(schema.enum.includes(value), `is none of ${schema.enum.join()}`)
  if (typeof value === "number") {
    must(value >= (schema.minimum ?? -Infinity) && value <= (schema.maximum ?? Infinity), "is out of range")
  }
  if (typeof value === "string") {
    const { length } = value
    must(length >= (schema.minLength ?? 0) && length <= (schema.maxLength ?? Infinity), "is too long or too short")
    if (schema.pattern !== undefined) must(new RegExp(schema.pattern).test(value), `is not ${schema.pattern}`)
    if (schema.format === "date-time") must(!Number.isNaN(Date.parse(value)), "is no instant")
  }
  if (Array.isArray(value) && schema.items !== undefined) {
    value.forEach((item, index) => found.push(...mismatches(spec, schema.items as JsonSchema, item, `${at}[${index}]`)))
  }
  if (typeOf(value) === "object") {
    const fields = value as Readonly<Record<string, unknown>>
    for (const name of schema.required ?? []) must(Object.hasOwn(fields, name), `lacks ${name}`)
    for (const [name, field] of Object.entries(fields)) {
      const one = schema.properties?.[name] ?? schema.additionalProperties
      if (one === false) must(false, `has ${name}`)
      else if (typeof one === "object") found.push(...mismatches(spec, one, field, `${at}.${name}`))
    }
  }
  return found
}

/** Holds an answer against what the document says of its route. */
export const expectAsDocumented = (spec: Specification, method: string, path: string, answer: Answer): void => {
  const documented = spec.paths[path]?.[method.toLowerCase()]?.responses[String(answer.status)]
  expect([method, path, answer.status, documented]).not.toEqual([method, path, answer.status, undefined])
  const [type, schema] = Object.entries(documented?.content ?? {})[0] ?? []
  expect([method, path, answer.status, answer.headers["content-type"]]).toEqual([method, path, answer.status, type])
  if (type?.includes("json") === true) {
    expect([method, path, mismatches(spec, schema?.schema ?? {}, answer.body)]).toEqual([method, path, []])
  }
  const shown = ["etag"].filter((name) => answer.headers[name] !== undefined)
  const headers = Object.keys(documented?.headers ?? {}).map((name) => name.toLowerCase())
  expect([method, path, answer.status, shown]).toEqual([method, path, answer.status, headers])
}

/** Holds a request's body against the document. */
export const bodyMismatches = (
  spec: Specification,
  path: string,
  body: unknown,
  method = "POST"
): ReadonlyArray<string> =>
  mismatches(
    spec,
    spec.paths[path]?.[method.toLowerCase()]?.requestBody?.content["application/json"]?.schema ?? {},
    body
  )
