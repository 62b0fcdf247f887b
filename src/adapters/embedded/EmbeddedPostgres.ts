/** A real PostgreSQL server, from binaries that npm brings, on a folder of this machine. */
import { Clock, Context, Effect, Fiber, Layer, Schedule } from "effect"
import type { Redacted, Scope } from "effect"
import { join } from "node:path"
import { findBinaries, findPackage } from "./Binaries.ts"
import { initialize, io, openHome, readPassword } from "./Cluster.ts"
import type { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { lastPort } from "./Port.ts"
import { heartbeat, Programs } from "./Programs.ts"
import type { Server } from "./Server.ts"
import { ServerControl, urlOf } from "./Server.ts"
import { checkSettings } from "./ServerSettings.ts"
import { serverUser } from "./ServerUser.ts"

export interface EmbeddedPostgresOptions {
  /** Where everything lies. Default: `.data/postgres` in the current folder. */
  readonly directory?: string
  /** Whether commits wait for the disk. Default: true; false only for a cluster that is thrown away, as in tests. */
  readonly fsync?: boolean
  /** Further settings of the server, such as `{ shared_buffers: "256MB" }`. They hold while this program's server runs. */
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * A PostgreSQL server that listens on loopback and asks for a password. Programs that name the same directory share one
 * server; it ends with the last of them. When it dies it is started again, on the same port.
 *
 * @example
 * const Sql = Layer.unwrapEffect(Effect.map(EmbeddedPostgres, ({ url }) => PgClient.layer({ url }))).pipe(
 *   Layer.provide(EmbeddedPostgres.layer({ directory: "data" }))
 * )
 */
export class EmbeddedPostgres extends Context.Tag("effect-lambda-scheduler/adapters/embedded/EmbeddedPostgres")<
  EmbeddedPostgres,
  {
    /** `postgres://` with the password, for the role and the database `postgres`. */
    readonly url: Redacted.Redacted
    /** The files of the database. */
    readonly dataDirectory: string
    /** Such as "PostgreSQL 18.4". */
    readonly version: string
    /** Whether a server that another program had started was there already. */
    readonly adopted: boolean
  }
>() {
  static readonly layer = (
    options: EmbeddedPostgresOptions = {}
  ): Layer.Layer<EmbeddedPostgres, EmbeddedPostgresError> =>
    // Other processes do not follow a test's clock.
    Layer.scoped(EmbeddedPostgres, Effect.withClock(make(options), Clock.make()))
}

const make = (
  { directory = join(".data", "postgres"), fsync = true, settings = {} }: EmbeddedPostgresOptions
): Effect.Effect<EmbeddedPostgres["Type"], EmbeddedPostgresError, Scope.Scope> =>
  Effect.gen(function*() {
    yield* checkSettings(settings)
    const found = yield* findPackage()
    const home = yield* openHome(directory)
    const user = yield* serverUser(home.cluster)
    const programs = new Programs(home.programs)
    let control: ServerControl | undefined
    yield* membership(programs, home.programs, () => control)
    yield* programs.awaitTurn
    const binaries = yield* findBinaries({ found, home: home.path, user, id: programs.id })
    yield* initialize({ home, programs, binaries, user, fsync })
    const password = yield* readPassword(home)
    const server = control = new ServerControl({ home, binaries, user, password, fsync, settings })
    const first = yield* server.ensure({ port: yield* lastPort(home.port), isFixed: !programs.isAlone })
    yield* Effect.forkScoped(keepRunning(server, first))
    yield* Effect.forkScoped(boundLog(server))
    return {
      url: urlOf(first.port, password),
      dataDirectory: home.data,
      version: `PostgreSQL ${first.version}`,
      adopted: first.isFound
    }
  })

/** From here on the server is ours, too; at the end it goes on for others, or ends. */
const membership = (
  programs: Programs,
  folder: string,
  control: () => ServerControl | undefined
): Effect.Effect<void, EmbeddedPostgresError, Scope.Scope> =>
  Effect.gen(function*() {
    const beating = io(folder, () => programs.beat()).pipe(
      Effect.catchAll((error) => Effect.logDebug(error.message)),
      Effect.repeat(Schedule.spaced(heartbeat))
    )
    // process.exit, or an exception that nobody catches.
    const leaveNow = () => {
      try {
        // The mark of the last stays: the server needs a moment to end. Here it is known to be of a process that is gone.
        if (programs.leave()) control()?.stopNow()
        else programs.remove()
      } catch {
        // The folder is gone. An exit is no place to fail.
        control()?.stopNow()
      }
    }
    const enter = io(folder, () => {
      programs.enter()
      process.once("exit", leaveNow)
    })
    const leave = Effect.gen(function*() {
      const isLast = yield* Effect.orElseSucceed(io(folder, () => programs.leave()), () => true)
      // While the server ends, its data is not for others.
      const beats = yield* Effect.fork(Effect.interruptible(beating))
      if (isLast) yield* control()?.stop ?? Effect.void
      yield* Fiber.interrupt(beats)
      process.removeListener("exit", leaveNow)
      yield* Effect.ignore(io(folder, () => programs.remove()))
    })
    yield* Effect.acquireRelease(enter, () => Effect.withClock(leave, Clock.make()))
    yield* Effect.forkScoped(beating)
  })

/** A server that has run for this long did not fail at its start. */
const settled = 60_000

/** Starts the server again whenever it ends: at once the first time, then ever slower, up to five seconds. */
const keepRunning = (control: ServerControl, first: Server): Effect.Effect<never> =>
  Effect.gen(function*() {
    let server = first
    let failures = 0
    while (true) {
      const began = yield* Clock.currentTimeMillis
      const how = yield* server.ended
      if ((yield* Clock.currentTimeMillis) - began > settled) failures = 0
      yield* Effect.logWarning(`PostgreSQL is gone (${how}). It is started again on port ${first.port}.`)
      yield* Effect.sleep(pause(failures++))
      server = yield* control.ensure({ port: first.port, isFixed: true }).pipe(
        Effect.tapError((error) => Effect.logError(error.message)),
        Effect.retry(Schedule.spaced("5 seconds")),
        // It never is: the schedule has no end.
        Effect.orDie
      )
      yield* Effect.logInfo(`PostgreSQL answers on port ${first.port} again.`)
    }
  })

const pause = (failures: number) => failures === 0 ? 0 : Math.min(5_000, 100 * 2 ** failures)

const boundLog = (control: ServerControl): Effect.Effect<void> =>
  io(control.log.path, () => control.log.bound()).pipe(
    Effect.catchAll((error) => Effect.logDebug(error.message)),
    Effect.repeat(Schedule.spaced("5 seconds")),
    Effect.asVoid
  )
