/** Where Tasks are kept, and why: the user's PostgreSQL, an embedded one, or memory. Pure. */
import type { Redacted } from "effect"
import { Either, Redacted as Secret } from "effect"

export type StoreTarget =
  | { readonly where: "postgres"; readonly url: Redacted.Redacted; readonly schema: string }
  | { readonly where: "embedded"; readonly directory: string; readonly schema: string }
  | { readonly where: "memory" }

export const storeChoices = ["postgres", "embedded", "memory"] as const
export type StoreChoice = typeof storeChoices[number]

/** Where the embedded PostgreSQL keeps its files. */
export const defaultDataDirectory = ".data/postgres"

/**
 * Decides where Tasks are kept.
 *
 * @param asked the values of `STORE`, `DATABASE_URL`, `DATABASE_SCHEMA` and `DATA_DIR`
 * @returns the store, or the variable that is at fault and what was expected of it
 *
 * @example
 * storeTarget({}) // Either.right({ where: "embedded", directory: ".data/postgres", schema: "lambda_scheduler" })
 */
export const storeTarget = (
  asked: {
    readonly store?: StoreChoice | undefined
    readonly url?: string | undefined
    readonly schema?: string | undefined
    readonly directory?: string | undefined
  },
  defaultSchema: string
): Either.Either<StoreTarget, string> => {
  const schema = asked.schema ?? defaultSchema
  const where = asked.store ?? (asked.url === undefined ? "embedded" : "postgres")
  switch (where) {
    case "memory":
      return Either.right({ where })
    case "embedded":
      return Either.right({ where, directory: asked.directory ?? defaultDataDirectory, schema })
    case "postgres":
      return asked.url === undefined
        ? Either.left("DATABASE_URL: expected the URL of a database, because STORE=postgres, got nothing")
        : Either.right({ where, url: Secret.make(asked.url), schema })
  }
}
