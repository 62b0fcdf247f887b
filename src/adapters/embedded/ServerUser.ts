/** Whom the server runs as: PostgreSQL refuses to be root. */
import { Effect } from "effect"
import { lstatSync } from "node:fs"
import { dirname } from "node:path"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"

export interface User {
  readonly uid: number
  readonly gid: number
}

/** The user called "nobody" on Linux. */
const nobody: User = { uid: 65534, gid: 65534 }

/**
 * Whom the server runs as; `undefined` for the user of this process. Root becomes the owner of the cluster that is
 * there, else nobody.
 */
export const serverUser = (cluster: string): Effect.Effect<User | undefined, EmbeddedPostgresError> =>
  Effect.gen(function*() {
    if (process.getuid?.() !== 0) return undefined
    if (process.platform !== "linux") {
      return yield* new EmbeddedPostgresError({
        reason: "PlatformUnsupported",
        message:
          `PostgreSQL does not run as root, and on ${process.platform} this program cannot start it as another ` +
          "user. Start this program as a normal user."
      })
    }
    const owner = lstatSync(cluster, { throwIfNoEntry: false })
    return owner === undefined || owner.uid === 0 ? nobody : { uid: owner.uid, gid: owner.gid }
  })

/** Whether every user gets to this path: each folder on the way that is there already lets others pass. */
export const isPassable = (path: string): boolean => {
  const parent = dirname(path)
  const { mode } = lstatSync(parent, { throwIfNoEntry: false }) ?? { mode: 0o001 }
  return parent === path || ((mode & 0o001) !== 0 && isPassable(parent))
}
