/** Asks a server whether it is ours: it answers to our password. */
import { Data, Effect, Redacted } from "effect"
import pg from "pg"

/** `code` is PostgreSQL's or the system's, such as 28P01 or ECONNREFUSED; empty for neither. */
export class ProbeFailed extends Data.TaggedError("ProbeFailed")<{ readonly code: string; readonly message: string }> {}

/** Nothing on loopback takes longer, unless it hangs. */
const patience = 2_000

/** Logs in, and answers the server's version, such as "18.4". */
export const probe = (url: Redacted.Redacted): Effect.Effect<string, ProbeFailed> =>
  Effect.tryPromise({
    try: async () => {
      const client = new pg.Client({
        connectionString: Redacted.value(url),
        connectionTimeoutMillis: patience,
        query_timeout: patience,
        application_name: "effect-lambda-scheduler"
      })
      // A connection that dies also fails the call that waits for it.
      client.on("error", () => {})
      try {
        await client.connect()
        const { rows } = await client.query<{ readonly server_version: string }>("SHOW server_version")
        return rows[0]?.server_version ?? ""
      } finally {
        await client.end().catch(() => {})
      }
    },
    catch: (cause) =>
      new ProbeFailed({
        code: (cause as { readonly code?: string }).code ?? "",
        message: cause instanceof Error ? cause.message : String(cause)
      })
  })

/** What is wrong with the password; anything else may pass. */
export const isRefusal = ({ code }: ProbeFailed): boolean => code === "28P01" || code === "28000"
