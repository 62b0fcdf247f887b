/** Starts the server of a cluster, or finds the one that runs; ends it. */
import { Clock, Data, Deferred, Effect, Redacted } from "effect"
import type { ChildProcess } from "node:child_process"
import { closeSync, writeFileSync } from "node:fs"
import type { Binaries } from "./Binaries.ts"
import type { Home } from "./Cluster.ts"
import { io, lend } from "./Cluster.ts"
import { start } from "./Command.ts"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { disown, findRunning } from "./PidFile.ts"
import { freePort } from "./Port.ts"
import type { ProbeFailed } from "./Probe.ts"
import { isRefusal, probe } from "./Probe.ts"
import { isThere, signal, startOf } from "./Processes.ts"
import { ServerLog } from "./ServerLog.ts"
import { settingFlags } from "./ServerSettings.ts"
import type { User } from "./ServerUser.ts"

/** A server that answers. */
export interface Server {
  readonly pid: number
  readonly port: number
  readonly version: string
  /** It ran already. */
  readonly isFound: boolean
  /** Ends when the server has ended; answers how, as far as that is known. */
  readonly ended: Effect.Effect<string>
}

export interface ServerOptions {
  readonly home: Home
  readonly binaries: Binaries
  readonly user: User | undefined
  readonly password: Redacted.Redacted
  readonly fsync: boolean
  readonly settings: Readonly<Record<string, string>>
}

export interface PortChoice {
  /** The one to start on, if any. */
  readonly port: number | undefined
  /** Whether programs were told that port: then no other will do. */
  readonly isFixed: boolean
}

/** A start that failed. All but `Other` may do a little later. */
class StartRefused extends Data.TaggedError("StartRefused")<{
  readonly why: "PortTaken" | "StillInUse" | "Other"
  readonly message: string
}> {}

/** How long a server may take to be ready: after a crash it first repeats what its log holds. */
const readyWithin = 300_000
/** How long a start tries to get the port and the directory for itself. */
const freeWithin = 30_000
/** How long a server may take to end in order, and then at once. What it lacked time for, its next start recovers. */
const orderlyWithin = 8_000
const immediateWithin = 2_000

const failed = (message: string) => new EmbeddedPostgresError({ reason: "StartFailed", message })

export const urlOf = (port: number, password: Redacted.Redacted): Redacted.Redacted =>
  // sslmode: whatever PGSSLMODE says is about other servers.
  Redacted.make(`postgres://postgres:${Redacted.value(password)}@127.0.0.1:${port}/postgres?sslmode=disable`)

/** Waits until a condition holds, at most so many milliseconds; answers whether it does. */
const eventually = (holds: () => boolean, within: number): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const began = yield* Clock.currentTimeMillis
    while (!holds()) {
      if ((yield* Clock.currentTimeMillis) - began > within) return false
      yield* Effect.sleep("20 millis")
    }
    return true
  })

/** A process: the pid alone may be another's by now. */
interface Process {
  readonly pid: number
  readonly startedAt: string
}

const identify = (pid: number): Process => ({ pid, startedAt: startOf(pid) })
const isAlive = ({ pid, startedAt }: Process): boolean => isThere(pid) && startOf(pid) === startedAt

/** Of a process that is not our child. */
const awaitGone = (process: Process): Effect.Effect<string> =>
  Effect.suspend(() =>
    isAlive(process)
      ? Effect.zipRight(Effect.sleep("500 millis"), awaitGone(process))
      : Effect.succeed("its process is gone")
  )

/** One cluster's server, seen from this program. */
export class ServerControl {
  readonly log: ServerLog
  /** The server, from the moment that there is a process. */
  private process: Process | undefined
  private readonly options: ServerOptions

  constructor(options: ServerOptions) {
    this.options = options
    this.log = new ServerLog(options.home.log)
  }

  /** Finds the server, or starts it. */
  ensure({ isFixed, port: wanted }: PortChoice): Effect.Effect<Server, EmbeddedPostgresError> {
    const { home } = this.options
    return Effect.gen(this, function*() {
      const began = yield* Clock.currentTimeMillis
      let port = wanted ?? (yield* freePort)
      while (true) {
        const found = yield* this.find
        if (found !== undefined) return found
        yield* io(home.data, () => disown(home.data))
        const started = yield* Effect.either(this.launch(port))
        if (started._tag === "Right") return started.right
        const refused = started.left
        if (refused._tag === "EmbeddedPostgresError") return yield* refused
        if (refused.why === "Other" || (yield* Clock.currentTimeMillis) - began > freeWithin) {
          return yield* failed(
            `expected PostgreSQL to start on ${home.data} with port ${port}, got an end. Its last lines:\n` +
              refused.message
          )
        }
        if (refused.why === "PortTaken" && !(isFixed && port === wanted)) port = yield* freePort
        else yield* Effect.sleep("200 millis")
      }
    })
  }

  /** Ends the server, and waits for that. */
  get stop(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const server = this.process
      if (server === undefined || !isAlive(server)) return Effect.void
      const end = (name: NodeJS.Signals, within: number) =>
        Effect.suspend(() => {
          signal(server.pid, name)
          return eventually(() => !isAlive(server), within)
        })
      return Effect.gen(function*() {
        if (yield* end("SIGINT", orderlyWithin)) return
        yield* Effect.logWarning("PostgreSQL takes long to end: it ends at once now, and its next start recovers.")
        if (yield* end("SIGQUIT", immediateWithin)) return
        yield* Effect.logError(`PostgreSQL (process ${server.pid}) does not end. It is left to itself.`)
      })
    })
  }

  /** Tells the server to end, where nothing can be awaited. */
  stopNow(): void {
    if (this.process !== undefined && isAlive(this.process)) signal(this.process.pid, "SIGINT")
  }

  /** The server that runs, once it answers; `undefined` when none does, or no longer. */
  private get find(): Effect.Effect<Server | undefined, EmbeddedPostgresError> {
    const { home } = this.options
    return Effect.gen(this, function*() {
      const began = yield* Clock.currentTimeMillis
      let problem = "it says that it is not ready"
      while (true) {
        const running = yield* io(home.data, () => findRunning(home.data))
        if (running === undefined) return undefined
        const { isReady, pid, port } = running
        if (isReady) {
          const process = identify(pid)
          const answer = yield* Effect.either(this.ask(port))
          if (answer._tag === "Right") {
            this.process = process
            return { pid, port, version: answer.right, isFound: true, ended: awaitGone(process) }
          }
          if (answer.left._tag === "EmbeddedPostgresError") return yield* answer.left
          problem = answer.left.message
        }
        if ((yield* Clock.currentTimeMillis) - began > readyWithin) {
          return yield* failed(
            `expected PostgreSQL's process ${pid}, which runs on ${home.data}, to answer on port ${port}, ` +
              `got: ${problem}. End it (kill -INT ${pid}), then start again.`
          )
        }
        yield* Effect.sleep("100 millis")
      }
    })
  }

  /** Asks the server for its version, by our password. */
  private ask(port: number): Effect.Effect<string, ProbeFailed | EmbeddedPostgresError> {
    const { home, password } = this.options
    return probe(urlOf(port, password)).pipe(
      Effect.catchIf(isRefusal, ({ message }) =>
        new EmbeddedPostgresError({
          reason: "PasswordRefused",
          message: `expected the server on ${home.data} to accept the password in ${home.password}, got: ${message}. ` +
            "Set that file and the password of the role postgres to the same value again."
        }))
    )
  }

  private launch(port: number): Effect.Effect<Server, StartRefused | EmbeddedPostgresError> {
    const { home } = this.options
    return Effect.gen(this, function*() {
      const printed = yield* io(home.path, () => {
        this.log.bound()
        return this.log.size
      })
      const child = yield* this.spawn(port)
      const ended = yield* endOf(child)
      const refused = Effect.flatMap(Deferred.await(ended), (how) => refusal(how, this.log.tail(printed)))
      const { pid } = child
      if (pid === undefined) return yield* refused
      const version = yield* Effect.raceFirst(this.awaitReady(pid, port), refused)
      yield* io(home.path, () => writeFileSync(home.port, String(port), { mode: 0o600 }))
      return { pid, port, version, isFound: false, ended: Deferred.await(ended) }
    })
  }

  private spawn(port: number): Effect.Effect<ChildProcess, StartRefused | EmbeddedPostgresError> {
    const { binaries, home, user } = this.options
    return lend(home.cluster, user, ({ descriptor, path }) =>
      Effect.acquireUseRelease(
        io(home.path, () => this.log.open()),
        (output) =>
          Effect.try({
            try: () => {
              const args = ["-D", `${path}/data`, ...settingFlags(port, this.options)]
              const options = { libraries: binaries.libraries, user, folder: descriptor, output }
              const child = start(binaries.postgres, args, options)
              // At once: whoever ends us from now on must know what else to end.
              if (child.pid !== undefined) this.process = identify(child.pid)
              // It may outlive us, for others; then we do not wait for it.
              child.unref()
              return child
            },
            catch: (cause) => new StartRefused({ why: "Other", message: String(cause) })
          }),
        (output) => Effect.sync(() => closeSync(output))
      ))
  }

  private awaitReady(pid: number, port: number): Effect.Effect<string, EmbeddedPostgresError> {
    const { data } = this.options.home
    const isReady = () => {
      const running = findRunning(data)
      return running?.pid === pid && running.isReady
    }
    return Effect.gen(this, function*() {
      if (yield* eventually(isReady, readyWithin)) {
        const answer = yield* Effect.either(Effect.retry(this.ask(port), { times: 3 }))
        if (answer._tag === "Right") return answer.right
        if (answer.left._tag === "EmbeddedPostgresError") return yield* answer.left
      }
      const tail = this.log.tail(0)
      yield* this.stop
      return yield* failed(
        `expected PostgreSQL on ${data} to be ready within ${readyWithin / 60_000} minutes and to answer on port ` +
          `${port}, got neither. Its last lines:\n${tail}`
      )
    })
  }
}

/** How a child ends, in words. */
const endOf = (child: ChildProcess): Effect.Effect<Deferred.Deferred<string>> =>
  Effect.map(Deferred.make<string>(), (ended) => {
    const end = (how: string) => Deferred.unsafeDone(ended, Effect.succeed(how))
    child.on("error", (error) => end(error.message))
    child.on("exit", (code, name) => end(name === null ? `it ended with code ${code}` : `it was ended by ${name}`))
    return ended
  })

/** From what the server printed (in English: LC_ALL is C) to what may be done about it. */
const refusal = (how: string, tail: string): StartRefused =>
  new StartRefused({
    why: /could not bind|could not create any TCP/.test(tail)
      ? "PortTaken"
      : /lock file "postmaster.pid"|shared memory block/.test(tail)
      ? "StillInUse"
      : "Other",
    message: tail === "" ? how : tail
  })
