/** A store, an endpoint and workers, put together for one run; and the history of it. */
import type { Scope } from "effect"
import { Effect, Layer, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { EmbeddedPostgres } from "../../src/adapters/embedded/index.ts"
import { now } from "./chanceAndTime.ts"
import type { EndpointLine, History } from "./History.ts"
import type { Holding, Observer } from "./Observer.ts"
import { observe } from "./Observer.ts"
import { bundle, ifWeAreKilled, temporaryDirectory } from "./programs.ts"
import { recordingEndpoint } from "./RecordingEndpoint.ts"
import type { FunctionScripts, WorkerSettings } from "./settings.ts"
import { watchTakeovers } from "./TakeoverWatch.ts"
import type { Takeovers, Violation } from "./verify.ts"
import { verify, verifyTakeovers } from "./verify.ts"
import type { Worker } from "./WorkerProcess.ts"
import { startWorker } from "./WorkerProcess.ts"

/** What several runs share. */
export interface Stage {
  readonly host: string
  readonly port: number
  /** The server's address, or that of a proxy in front of it. */
  readonly databaseUrl: (port?: number) => string
  /** Ends the server like `pg_ctl stop -m`; it is started again at once. */
  readonly restart: (mode: "immediate" | "fast") => Effect.Effect<void>
  readonly programs: { readonly endpoint: string; readonly worker: string }
}

const shutdownSignals = { immediate: "SIGQUIT", fast: "SIGINT" } as const

/** Ends the server and removes its files. */
const endServer = `kill -QUIT "$(head -n 1 "$0/cluster/data/postmaster.pid")"; sleep 1; rm -rf "$0"`

/** A cluster of its own, which can be restarted without harm to others, and the programs. */
export const databaseStage: Effect.Effect<Stage, never, Scope.Scope> = Effect.gen(function*() {
  const directory = join(yield* temporaryDirectory, "postgres")
  yield* ifWeAreKilled(endServer, directory)
  const cluster = yield* Effect.provide(EmbeddedPostgres, yield* Layer.build(EmbeddedPostgres.layer({ directory })))
  const url = new URL(Redacted.value(cluster.url))
  return {
    host: url.hostname,
    port: Number(url.port),
    databaseUrl: (port = Number(url.port)) => Object.assign(new URL(url), { port: String(port) }).href,
    restart: (mode: keyof typeof shutdownSignals) =>
      Effect.sync(() => {
        const [pid] = readFileSync(join(cluster.dataDirectory, "postmaster.pid"), "utf8").split("\n")
        process.kill(Number(pid), shutdownSignals[mode])
      }),
    programs: { endpoint: yield* bundle("endpoint.ts"), worker: yield* bundle("worker.ts") }
  }
}).pipe(Effect.orDie)

/** In all: some that end at once, some that take a while, and some that do what functions do on a bad day. */
const usualFunctions: FunctionScripts = {
  quick: { latency: { least: 2, mean: 30, most: 300 } },
  slow: { latency: { least: 200, mean: 500, most: 1_200 } },
  flaky: { latency: { least: 2, mean: 50, most: 500 }, errors: 0.15, throttles: 0.1, resets: 0.05, hangs: 0.01 }
}

const usualLoad: WorkerSettings["load"] = {
  rate: 20,
  functions: ["quick", "quick", "slow", "slow", "flaky"],
  ahead: 2_000,
  recurring: false
}

/** Leases and what goes with them, in the proportions of the defaults. */
const leaseSettings = (lease: number): Readonly<Record<string, number>> => ({
  leaseDuration: lease,
  heartbeatInterval: lease / 4,
  leaseMargin: lease / 4,
  pollInterval: Math.min(1_000, lease / 2),
  reconcileInterval: Math.min(10_000, lease * 2),
  attemptMargin: 500,
  shutdownGrace: 5_000
})

/** Of these, up to four are lost to functions that fail on a bad day; the rest are for what the tests do. */
const maxAttempts = 10

export interface RigOptions {
  readonly seed: number
  /** Of its own in the cluster. */
  readonly schema: string
  /** Milliseconds. */
  readonly lease: number
  readonly functions?: FunctionScripts
  readonly load?: Partial<WorkerSettings["load"]>
}

/** What a worker is told that others are not. */
export interface WorkerOptions {
  readonly databaseUrl?: string
  readonly clockSkew?: number
  readonly engine?: WorkerSettings["engine"]
}

export interface Rig {
  readonly seed: number
  readonly lease: number
  readonly observer: Observer
  readonly endpoint: Effect.Effect<ReadonlyArray<EndpointLine>>
  /** The first one has schedules as well as one-shots. */
  readonly startWorker: (options?: WorkerOptions) => Effect.Effect<Worker, never, Scope.Scope>
  /** Waits until a worker has work in every phase: some that waits, and calls that have not been answered. */
  readonly untilBusy: (worker: Worker) => Effect.Effect<void>
  /** Workers that have not ended. */
  readonly running: Effect.Effect<ReadonlyArray<Worker>>
  /**
   * A worker has ended, or stands still, since this instant: what it holds is to be taken over in time. Answers what
   * that is.
   */
  readonly noteEnd: (worker: Worker, endedAt: number) => Effect.Effect<ReadonlyArray<Holding>>
  readonly takeovers: Effect.Effect<Takeovers>
  /** Asks for nothing more, ends the schedules, and waits until all is over or nothing more comes of it. */
  readonly comeToRest: Effect.Effect<void>
  readonly history: Effect.Effect<History>
  /** Comes to rest, and answers what is wrong. */
  readonly verdict: Effect.Effect<ReadonlyArray<Violation>>
}

/** At least ten leases, and time for what has been asked for last. */
const restWithin = (lease: number): number => Math.max(20_000, 10 * lease)

export const makeRig = (stage: Stage, { functions, lease, load, schema, seed }: RigOptions): Effect.Effect<
  Rig,
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const directory = yield* temporaryDirectory
    const observer = yield* observe(stage.databaseUrl(), schema)
    const endpoint = yield* recordingEndpoint(stage.programs.endpoint, { seed, functions: functions ?? usualFunctions })
    const takeovers = yield* watchTakeovers(observer, lease)
    const workers: Array<Worker> = []
    let begun = 0

    const running = Effect.sync(() => workers.filter((worker) => !worker.hasEnded()))

    const startAnother: Rig["startWorker"] = (options = {}) =>
      Effect.suspend(() => {
        const number = begun++
        const name = `w${number}`
        return startWorker(stage.programs.worker, {
          name,
          seed,
          schema,
          databaseUrl: options.databaseUrl ?? stage.databaseUrl(),
          endpoint: endpoint.url,
          journal: join(directory, name),
          queryTimeout: Math.max(500, lease / 3),
          clockSkew: options.clockSkew ?? 0,
          functionTimeout: 1_500,
          maxAttempts,
          engine: { ...leaseSettings(lease), ...options.engine },
          load: { ...usualLoad, recurring: number === 0, ...load }
        })
      }).pipe(Effect.tap((worker) => Effect.sync(() => workers.push(worker))))

    /** A statement that was under way when its sender was killed may still come to its end. */
    const settledHoldings = (instances: ReadonlyArray<string>) => {
      const again = (before: ReadonlyArray<Holding>): Effect.Effect<ReadonlyArray<Holding>> =>
        Effect.flatMap(
          Effect.delay(observer.holdings(instances), "10 millis"),
          (after) => JSON.stringify(after) === JSON.stringify(before) ? Effect.succeed(after) : again(after)
        )
      return Effect.flatMap(observer.holdings(instances), again)
    }

    const isBusy = (worker: Worker) =>
      Effect.gen(function*() {
        const holdings = yield* observer.holdings(worker.instances())
        const underWay = new Set<string>()
        for (const { attempt, kind, taskId } of yield* endpoint.log) {
          if (kind === "arrival") underWay.add(`${taskId} ${attempt}`)
          else underWay.delete(`${taskId} ${attempt}`)
        }
        const calls = holdings.filter(({ attempt, id }) => underWay.has(`${id} ${attempt}`))
        return calls.length > 1 && holdings.some(({ status }) => status === "Scheduled")
      })

    const comeToRest = Effect.gen(function*() {
      const schedules = (yield* observer.schedules).map(({ id }) => id)
      for (const worker of yield* running) {
        worker.tell({ order: "quiet" })
        worker.tell({ order: "cancel", schedules })
      }
      yield* Effect.repeat(Effect.delay(observer.unfinished, "50 millis"), { until: (count) => count === 0 }).pipe(
        Effect.timeoutOption(restWithin(lease))
      )
      // The takeovers have been looked at once more by then.
      yield* Effect.sleep("200 millis")
    })

    const history = Effect.gen(function*(): Effect.fn.Return<History> {
      const journals = workers.flatMap((worker) => worker.journal())
      const readAt = now()
      return {
        asked: journals.flatMap((line) => line.kind === "asked" ? [line] : []),
        acknowledged: journals.flatMap((line) => line.kind === "acknowledged" ? [line] : []),
        tasks: yield* observer.tasks,
        schedules: yield* observer.schedules,
        living: yield* observer.living,
        endpoint: yield* endpoint.log,
        now: readAt,
        maxAttempts
      }
    })

    return {
      seed,
      lease,
      observer,
      endpoint: endpoint.log,
      startWorker: startAnother,
      untilBusy: (worker) =>
        Effect.repeat(Effect.delay(isBusy(worker), "20 millis"), { until: (busy) => busy }).pipe(
          Effect.timeoutFail({
            duration: "20 seconds",
            onTimeout: () => new Error(`${worker.name} has nothing to do: ${worker.output()}`)
          }),
          Effect.orDie
        ),
      running,
      noteEnd: (worker, endedAt) =>
        Effect.suspend(() => settledHoldings(worker.instances())).pipe(
          Effect.tap((holdings) =>
            takeovers.noteEnd({
              worker: worker.name,
              instances: worker.instances(),
              endedAt,
              held: holdings.flatMap(({ dueAt, id, scheduleId, status }) =>
                scheduleId === null ? [{ id, dueAt, started: status === "Running" }] : []
              )
            })
          )
        ),
      takeovers: takeovers.seen,
      comeToRest,
      history,
      verdict: Effect.gen(function*() {
        yield* comeToRest
        const seen = yield* history
        return [...verify(seen), ...verifyTakeovers(yield* takeovers.seen, seen, lease)]
      })
    }
  })
