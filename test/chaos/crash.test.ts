/**
 * Schedulers in processes of their own, a real PostgreSQL and a recording endpoint, while processes are killed, frozen
 * and stopped, the database is restarted, and what lies between breaks. The lease is a second, so that a run is short;
 * `long.ts` does the killing with the lease of production.
 */
import { expect, layer } from "@effect/vitest"
import { Config, Console, Context, Effect, Layer, Logger, LogLevel, Option, Random } from "effect"
import type { Scope } from "effect"
import { now } from "./chanceAndTime.ts"
import type { History, TaskRow } from "./History.ts"
import { killAgainAndAgain } from "./killing.ts"
import type { Holding } from "./Observer.ts"
import { ifWeAreKilled } from "./programs.ts"
import { describeReport } from "./report.ts"
import type { Rig, RigOptions } from "./Rig.ts"
import { databaseStage, makeRig } from "./Rig.ts"
import type { TcpProxy } from "./TcpProxy.ts"
import { tcpProxy } from "./TcpProxy.ts"
import type { Worker } from "./WorkerProcess.ts"

const lease = 1_000

const load = { rate: 12, ahead: 1_000 }

/** Runs that take place at the same time. */
const runsAtOnce = 2

class Stage extends Context.Tag("effect-lambda-scheduler/test/chaos/crash.test/Stage")<Stage, {
  /** Waits until the machine has room for it. */
  readonly rig: (schema: string, options?: Partial<RigOptions>) => Effect.Effect<Rig, never, Scope.Scope>
  /** The same, with the cluster for itself. */
  readonly rigAlone: (schema: string, options?: Partial<RigOptions>) => Effect.Effect<Rig, never, Scope.Scope>
  readonly proxy: Effect.Effect<TcpProxy & { readonly databaseUrl: string }, never, Scope.Scope>
  readonly restart: (mode: "immediate" | "fast") => Effect.Effect<void>
}>() {
  static readonly layer = Layer.scoped(
    Stage,
    Effect.gen(function*() {
      const drawn = yield* Random.nextIntBetween(1, 1_000_000)
      const seed = yield* Config.withDefault(Config.integer("CHAOS_SEED"), drawn)
      yield* Console.log(`Chaos of seed ${seed}; CHAOS_SEED=${seed} draws the same again`)
      const stage = yield* databaseStage
      const room = yield* Effect.makeSemaphore(runsAtOnce)
      const taking = (share: number) => (schema: string, options: Partial<RigOptions> = {}) =>
        Effect.zipRight(
          Effect.acquireRelease(room.take(share), (taken) => room.release(taken)),
          makeRig(stage, { seed, lease, load, schema, ...options })
        )
      return {
        rig: taking(1),
        rigAlone: taking(runsAtOnce),
        proxy: Effect.map(tcpProxy(stage), (proxy) => ({ ...proxy, databaseUrl: stage.databaseUrl(proxy.port) })),
        restart: stage.restart
      }
    })
  ).pipe(Layer.provide(Logger.minimumLogLevel(LogLevel.Error)), Layer.orDie)
}

const acknowledged = (worker: Worker): number => worker.journal().filter(({ kind }) => kind === "acknowledged").length

const until = (what: string, condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.delay("50 millis"),
    Effect.repeat({ until: (holds) => holds }),
    Effect.timeoutOption("10 seconds"),
    Effect.map((held) => expect(Option.isSome(held), what).toBe(true))
  )

/** Waits until a worker has been told of more than it had been so far. */
const goesOn = (worker: Worker) =>
  Effect.suspend(() => {
    const before = acknowledged(worker)
    return until(`${worker.name} goes on`, () => acknowledged(worker) > before + 3)
  })

const outcomesOf = (tasks: ReadonlyArray<TaskRow>, holdings: ReadonlyArray<Holding>) =>
  holdings.filter(({ status }) => status === "Running").map(({ attempt, id }) =>
    tasks.find((task) => task.id === id)?.attempts.find(({ number }) => number === attempt)?.outcome
  )

/** Attempts whose answer reached the scheduler and is not in its records: it was lost between the two. */
const answeredInVain = ({ endpoint, tasks }: History) => {
  const unknown = new Set(
    tasks.filter(({ status }) => status !== "Cancelled").flatMap(({ attempts, id }) =>
      attempts.flatMap(({ number, outcome }) => outcome === "unknown" ? [`${id} ${number}`] : [])
    )
  )
  return endpoint.filter(({ attempt, delivered, kind, taskId, verdict }) =>
    kind === "answer" && delivered === true && verdict !== "reset" && unknown.has(`${taskId} ${attempt}`)
  )
}

const atOnce = { concurrency: "unbounded" } as const

/** One worker behind a proxy, another not. */
const startBesideOne = (schema: string, lease: number) =>
  Effect.gen(function*() {
    const stage = yield* Stage
    const proxy = yield* stage.proxy
    const rig = yield* stage.rig(schema, { lease })
    const [behind] = yield* Effect.all([rig.startWorker({ databaseUrl: proxy.databaseUrl }), rig.startWorker()], atOnce)
    yield* rig.untilBusy(behind)
    return { proxy, rig, behind }
  })

/**
 * Stops a worker in the midst of a transaction, behind a network that is slow enough for that: what it has locked is to
 * be taken over all the same. Answers since when it stands still.
 */
const stopInTransaction = (
  rig: Rig,
  worker: Worker,
  proxy: TcpProxy,
  { goOn, stop }: { readonly stop: Effect.Effect<void>; readonly goOn: Effect.Effect<void> }
): Effect.Effect<number> =>
  Effect.gen(function*() {
    yield* goOn
    yield* proxy.delay(30)
    yield* rig.untilBusy(worker)
    const locked = rig.observer.locked(worker.instances())
    yield* Effect.repeat(locked, { until: (count) => count > 0 })
    const stoppedAt = now()
    yield* stop
    // What was under way to the database has arrived by then.
    yield* Effect.sleep("100 millis")
    return (yield* locked) > 0
      ? stoppedAt
      : yield* stopInTransaction(rig, worker, proxy, { goOn, stop })
  })

/** Waits until a worker has a lease under another id than so far. */
const takesNewId = (worker: Worker, before: number) =>
  until(`${worker.name} takes a new id`, () => worker.instances().length > before)

/** The time includes the wait for other runs. */
const together = { concurrent: true, timeout: 180_000 }

layer(Stage.layer, { excludeTestServices: true, timeout: "60 seconds" })("a scheduler survives", (it) => {
  const run = (name: string, body: Effect.Effect<void, never, Stage | Scope.Scope>) =>
    it.scoped(name, () => body, together)

  run(
    "SIGKILL, again and again, while others live",
    Effect.gen(function*() {
      const rig = yield* (yield* Stage).rigAlone("kills", { load: {} })
      const report = yield* killAgainAndAgain(rig, { kills: 15, workers: 3, pause: [200, 700] })
      yield* Console.log(describeReport(report))
      expect(report.violations).toEqual([])
      expect(report.full).toBeGreaterThanOrEqual(15)
      expect(report.unknownAttempts).toBeGreaterThan(0)
    })
  )

  run(
    "SIGKILL of the only one",
    Effect.gen(function*() {
      const rig = yield* (yield* Stage).rig("alone")
      const first = yield* rig.startWorker()
      yield* rig.untilBusy(first)
      const killedAt = now()
      first.kill("SIGKILL")
      yield* first.ended
      const next = yield* rig.startWorker()
      const readyAt = now()
      const held = yield* rig.noteEnd(first, readyAt)
      expect(held.length).toBeGreaterThan(0)
      yield* goesOn(next)
      expect(yield* rig.verdict).toEqual([])
      const { endings: [ending] } = yield* rig.takeovers
      // What was left of the lease, and a second.
      expect(ending?.freedAt).toBeLessThan(Math.max(readyAt, killedAt + lease) + 1_000)
    })
  )

  run(
    "SIGTERM: waits for what runs as long as its grace, and hands everything back",
    Effect.gen(function*() {
      const steady = { latency: { least: 1_200, mean: 1_200, most: 1_200 } }
      const rig = yield* (yield* Stage).rig("stops", {
        functions: { steady },
        load: { ...load, functions: ["steady"] }
      })
      const [patient, hasty] = yield* Effect.all([
        rig.startWorker({ engine: { shutdownGrace: 4_000 } }),
        rig.startWorker({ engine: { shutdownGrace: 200 } }),
        rig.startWorker()
      ], atOnce)
      yield* Effect.forEach([patient, hasty], rig.untilBusy, atOnce)
      const patientRuns = yield* rig.observer.holdings(patient.instances())
      const hastyRuns = yield* rig.observer.holdings(hasty.instances())
      const askedAt = now()
      patient.kill("SIGTERM")
      hasty.kill("SIGTERM")
      const [patientEnd, hastyEnd] = yield* Effect.all([patient.ended, hasty.ended], atOnce)
      const ours = [...patient.instances(), ...hasty.instances()]
      expect(yield* rig.observer.holdings(ours)).toEqual([])
      const left = [...yield* rig.observer.living].filter((id) => ours.includes(id))
      expect(left, `${patient.output()}\n${hasty.output()}`).toEqual([])
      expect([patientEnd.code, hastyEnd.code]).toEqual([0, 0])
      expect(patientEnd.at - askedAt).toBeLessThan(1_200 + 2_000)
      expect(hastyEnd.at - askedAt).toBeLessThan(200 + 5_000)

      expect(yield* rig.verdict).toEqual([])
      const { tasks } = yield* rig.history
      expect(new Set(outcomesOf(tasks, patientRuns))).toEqual(new Set(["succeeded"]))
      expect(outcomesOf(tasks, hastyRuns)).toContain("unknown")
    })
  )

  run(
    "a freeze longer than its lease: another does its work, and its late results are refused",
    Effect.gen(function*() {
      const { behind: frozen, proxy, rig } = yield* startBesideOne("freeze", lease)
      // It would not notice that we are gone.
      yield* ifWeAreKilled(`kill -KILL "$0"`, String(frozen.pid))
      const stoppedAt = yield* stopInTransaction(rig, frozen, proxy, {
        stop: Effect.sync(() => frozen.kill("SIGSTOP")),
        goOn: Effect.sync(() => frozen.kill("SIGCONT"))
      })
      const before = frozen.instances().length
      const held = yield* rig.noteEnd(frozen, stoppedAt)
      yield* Effect.sleep(2.5 * lease)
      yield* proxy.forward
      frozen.kill("SIGCONT")
      yield* takesNewId(frozen, before)
      yield* goesOn(frozen)

      expect(yield* rig.verdict).toEqual([])
      const history = yield* rig.history
      const outcomes = outcomesOf(history.tasks, held)
      expect(outcomes.length).toBeGreaterThan(0)
      expect(new Set(outcomes)).toEqual(new Set(["unknown"]))
      // It did have results, and nobody believed it.
      expect(answeredInVain(history).length).toBeGreaterThan(0)
    })
  )

  run(
    "clocks that are ten minutes off, ahead and behind",
    Effect.gen(function*() {
      const rig = yield* (yield* Stage).rig("clocks")
      const [killed] = yield* Effect.all([
        rig.startWorker({ clockSkew: 600_000 }),
        rig.startWorker({ clockSkew: -600_000 }),
        rig.startWorker()
      ], atOnce)
      yield* rig.untilBusy(killed)
      killed.kill("SIGKILL")
      yield* rig.noteEnd(killed, (yield* killed.ended).at)
      yield* Effect.sleep(2.5 * lease)
      expect(yield* rig.verdict).toEqual([])
      const { tasks } = yield* rig.history
      expect(tasks.length).toBeGreaterThan(50)
      // Nobody's ten minutes have got into an instant.
      const readAt = now()
      for (const { dueAt, nominalAt } of tasks) {
        expect(Math.abs(readAt - nominalAt)).toBeLessThan(60_000)
        expect(Math.abs(readAt - dueAt)).toBeLessThan(60_000)
      }
    })
  )

  run(
    "a network that breaks connections, and refuses new ones for a while",
    Effect.gen(function*() {
      const { behind, proxy, rig } = yield* startBesideOne("cuts", 3_000)
      const before = behind.instances().length
      let cut = 0
      for (let round = 0; round < 5; round++) {
        cut += yield* proxy.cut
        yield* Effect.sleep("250 millis")
      }
      expect(cut).toBeGreaterThan(5)
      yield* proxy.refuse
      yield* proxy.cut
      yield* Effect.sleep("300 millis")
      yield* proxy.forward
      yield* goesOn(behind)
      expect(yield* rig.verdict).toEqual([])
      // A heartbeat that has come too late, on a machine with much else to do, is another story.
      const hasLostItsLease = behind.instances().length > before
      if (!hasLostItsLease) expect(answeredInVain(yield* rig.history)).toEqual([])
    })
  )

  run(
    "answers that get lost, to a COMMIT and to anything else",
    Effect.gen(function*() {
      const { behind, proxy, rig } = yield* startBesideOne("swallow", 3_000)
      for (
        const statement of [
          /INSERT INTO \S*tasks/,
          /COMMIT/,
          /UPDATE \S*tasks/,
          /status = 'Running'/,
          /INSERT INTO \S*task_attempts/,
          /UPDATE \S*instances/
        ]
      ) {
        const lost = yield* Effect.timeoutOption(proxy.swallow(statement), "5 seconds")
        expect(Option.isSome(lost), `an answer to ${statement} was lost`).toBe(true)
      }
      yield* goesOn(behind)
      expect(yield* rig.verdict).toEqual([])
      expect(answeredInVain(yield* rig.history)).toEqual([])
    })
  )

  run(
    "a network that says nothing any more: another does its work, and it comes back",
    Effect.gen(function*() {
      const { behind, proxy, rig } = yield* startBesideOne("hole", lease)
      const stoppedAt = yield* stopInTransaction(rig, behind, proxy, { stop: proxy.blackHole, goOn: proxy.forward })
      const before = behind.instances().length
      const held = yield* rig.noteEnd(behind, stoppedAt)
      expect(held.length).toBeGreaterThan(0)
      yield* Effect.sleep(2.5 * lease)
      yield* proxy.forward
      yield* takesNewId(behind, before)
      yield* goesOn(behind)
      expect(yield* rig.verdict).toEqual([])
    })
  )

  run(
    "a network that takes its time: at 400 ms each way nobody is taken for dead, at 700 nothing is sent",
    Effect.gen(function*() {
      const { behind, proxy, rig } = yield* startBesideOne("delay", 6_000)
      yield* proxy.delay(400)
      yield* goesOn(behind)
      yield* Effect.sleep("2 seconds")
      yield* proxy.delay(700)
      yield* Effect.sleep("3 seconds")
      yield* proxy.forward
      yield* goesOn(behind)
      expect(behind.instances()).toHaveLength(1)
      expect(yield* rig.verdict).toEqual([])
      const history = yield* rig.history
      expect(answeredInVain(history)).toEqual([])
      expect(history.tasks.some(({ attempts }) => attempts.some(({ outcome }) => outcome === "notSent"))).toBe(true)
    })
  )

  run(
    "restarts of PostgreSQL, -m immediate and -m fast, and re-runs nothing that was answered",
    Effect.gen(function*() {
      const { restart, rigAlone } = yield* Stage
      const rig = yield* rigAlone("restarts", { lease: 3_000 })
      const workers = yield* Effect.all([rig.startWorker(), rig.startWorker()], atOnce)
      yield* Effect.forEach(workers, rig.untilBusy, atOnce)
      for (const mode of ["immediate", "fast"] as const) {
        yield* restart(mode)
        // Until it is gone, what goes on is the past.
        yield* Effect.sleep("200 millis")
        yield* Effect.forEach(workers, goesOn, atOnce)
      }
      expect(yield* rig.verdict).toEqual([])
      expect(answeredInVain(yield* rig.history)).toEqual([])
    })
  )

  run(
    "connections that the database ends, all of them or some",
    Effect.gen(function*() {
      const rig = yield* (yield* Stage).rigAlone("backends", { lease: 3_000 })
      const workers = yield* Effect.all([rig.startWorker(), rig.startWorker()], atOnce)
      yield* Effect.forEach(workers, rig.untilBusy, atOnce)
      let ended = 0
      for (const share of [1, 0.3, 0.3, 0.3, 1, 0.5, 0.5, 0.5, 1]) {
        ended += yield* rig.observer.terminate(share)
        yield* Effect.sleep("150 millis")
      }
      expect(ended).toBeGreaterThan(10)
      yield* Effect.forEach(workers, goesOn, atOnce)
      expect(yield* rig.verdict).toEqual([])
      expect(answeredInVain(yield* rig.history)).toEqual([])
    })
  )
})
