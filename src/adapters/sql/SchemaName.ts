/** Names of the store's tables: the only text that goes into a statement without being a parameter. */
import { Effect } from "effect"
import { InvalidInput } from "../../domain/Errors.ts"
import { shown } from "../../domain/Time.ts"

const identifier = /^[a-z_][a-z0-9_]{0,62}$/

export const defaultSchema = "lambda_scheduler"

export const isSchemaName = (schema: string): boolean => identifier.test(schema) && !schema.startsWith("pg_")

/**
 * Checks the name of the schema that holds the store.
 *
 * @returns the name, or `InvalidInput` with reason `NamePattern`
 */
export const parseSchema = (schema: string): Effect.Effect<string, InvalidInput> =>
  isSchemaName(schema)
    ? Effect.succeed(schema)
    : Effect.fail(
      new InvalidInput({
        reason: "NamePattern",
        field: "schema",
        message: "schema: expected a name of lower-case letters, digits and _ that does not begin with a digit or " +
          `pg_ (at most 63 characters), got ${shown(schema)}`
      })
    )

/** A table of the schema, quoted; the schema's name must have been checked. */
export const table = (schema: string, name: string): string => `"${schema}"."${name}"`
