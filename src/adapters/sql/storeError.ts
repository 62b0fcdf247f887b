/** What goes wrong in the database, as the port tells it: pure, one place for all codes. */
import { TaskRepositoryError } from "../../domain/Errors.ts"

const property = (error: unknown, name: string): unknown =>
  typeof error === "object" && error !== null ? (error as Record<string, unknown>)[name] : undefined

/** The error of the driver, under those of the layers above it. */
const innermost = (error: unknown): unknown => {
  let current = error
  for (let depth = 0; depth < 5; depth++) {
    const cause = property(current, "cause")
    if (cause === undefined) break
    current = cause
  }
  // Several addresses were tried, and each failed.
  const [first] = (property(current, "errors") as ReadonlyArray<unknown> | undefined) ?? []
  return first ?? current
}

/** The SQLSTATE, or the system's code such as ECONNREFUSED. */
export const errorCode = (error: unknown): string | undefined => {
  const code = property(innermost(error), "code")
  return typeof code === "string" ? code : undefined
}

/** The data of a row is at fault (SQLSTATE classes 22 and 23): the statement's other rows are not. */
const isDataError = (error: unknown): boolean => /^2[23][0-9A-Z]{3}$/.test(errorCode(error) ?? "")

/** No such prepared statement on this connection, or one that was not made by it: a pooler lies between. */
const lostStatement: ReadonlySet<string | undefined> = new Set(["26000", "42P05"])

/** A statement failed for being prepared, before it did anything; `outdated`: after a change of its tables. */
export const preparedFailure = (error: unknown): "lost" | "outdated" | undefined => {
  const code = errorCode(error)
  if (lostStatement.has(code)) return "lost"
  return code === "0A000" && String(property(innermost(error), "message")).includes("cached plan")
    ? "outdated"
    : undefined
}

/** Two transactions stood in each other's way: the same again will do (serialization failure, deadlock). */
const conflicts: ReadonlySet<string | undefined> = new Set(["40001", "40P01"])

/** Nothing is wrong with what was asked, and nothing of it was done: the same again will do. */
export const isConflict = (error: unknown): boolean =>
  conflicts.has(errorCode(error)) || preparedFailure(error) !== undefined

const explanations: Readonly<Record<string, string>> = {
  "28P01": "The database refuses the password. Check the user and password in the database URL (DATABASE_URL).",
  "28000": "The database refuses this user. Check the user in the database URL (DATABASE_URL) and pg_hba.conf.",
  "3D000": "The database does not exist. Check the name at the end of the database URL (DATABASE_URL), or create it.",
  "42501": "The database user lacks a privilege: it must own the scheduler's schema, or be allowed to create it.",
  "42P01": "A table of the scheduler is missing. Was its schema dropped? Start again to have it made.",
  "3F000": "The scheduler's schema is missing. Was it dropped? Start again to have it made.",
  "25006": "The database takes no writes (a standby, or default_transaction_read_only). Point the database URL " +
    "(DATABASE_URL) at the primary.",
  "53100": "The database's disk is full. Nothing was stored; free some space, and work goes on.",
  "53300": "The database has no connection left. Raise its max_connections, or lower the pool's maxConnections.",
  "57014": "The database cancelled the statement (statement_timeout, or by hand).",
  "57P01": "The database was shut down, or ended this connection.",
  "57P03": "The database is starting up.",
  ECONNREFUSED: "Nothing listens at the database's address. Is it running? Check host and port in the database URL " +
    "(DATABASE_URL).",
  ENOTFOUND: "The database's host name is not known. Check the host in the database URL (DATABASE_URL).",
  EAI_AGAIN: "The database's host name could not be looked up. Check the host in the database URL (DATABASE_URL).",
  ETIMEDOUT: "The database's host does not answer. Check host and port in the database URL (DATABASE_URL).",
  SELF_SIGNED_CERT_IN_CHAIN: "The database's certificate is not trusted. Set sslrootcert in the database URL.",
  DEPTH_ZERO_SELF_SIGNED_CERT: "The database's certificate is not trusted. Set sslrootcert in the database URL."
}

const describe = (error: unknown): string => {
  const inner = innermost(error)
  const message = property(inner, "message")
  const text = typeof message === "string" && message !== "" ? message : String(inner)
  const code = errorCode(error)
  const explained = explanations[code ?? ""]
  if (explained !== undefined) return `${explained} (${code}: ${text})`
  return code === undefined ? `The database did not answer: ${text}` : `The database failed (${code}: ${text})`
}

/**
 * `Rejected` when the data itself is refused, `Unavailable` for all else: the statement may work later.
 */
export const storeError = (error: unknown): TaskRepositoryError =>
  new TaskRepositoryError({
    reason: isDataError(error) ? "Rejected" : "Unavailable",
    message: describe(error),
    cause: error
  })
