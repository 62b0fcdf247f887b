/** Why the embedded PostgreSQL is not there. */
import { Schema } from "effect"

/** The message says, for people, what was expected, what came, and what to do about it. */
export class EmbeddedPostgresError extends Schema.TaggedError<EmbeddedPostgresError>()("EmbeddedPostgresError", {
  reason: Schema.Literal(
    "BinariesMissing",
    "PlatformUnsupported",
    "SettingInvalid",
    "DirectoryUnusable",
    "DirectoryInUse",
    "VersionMismatch",
    "PasswordRefused",
    "StartFailed"
  ),
  message: Schema.String
}) {}

/** What else keeps Tasks, for messages about a server that cannot be had. */
export const alternatives =
  "Or set DATABASE_URL=postgres://... to use a PostgreSQL of your own, or STORE=memory to keep nothing on disk."

/** Does something with files of the directory; whatever the system refuses is `DirectoryUnusable`. */
export const unusable = (path: string, cause: unknown): EmbeddedPostgresError =>
  new EmbeddedPostgresError({
    reason: "DirectoryUnusable",
    message: `expected a folder that this user (uid ${process.getuid?.() ?? "unknown"}) can write to at ${path}, got ${
      cause instanceof Error ? cause.message : String(cause)
    }. Make it writable (chown, chmod, free space), or name another folder (DATA_DIR, or the option directory).`
  })
