/**
 * Schedulers in processes of their own, a real PostgreSQL and a recording endpoint, while processes are killed, frozen
 * and stopped, the database is restarted, and what lies between breaks. The lease is a second, so that a run is short;
 * `long.ts` does the killing with the lease of production.
 */
import { expect, layer } from "@effect/vitest"
import { Config, Console, Context, Effect, Layer, Logger, LogLevel, Option, Random } from "effect"
import type { Duration, Scope } from "effect"
import { now } from "./chanceAndTime.ts"
import type { TaskRow } from "./History.ts"
import { killAgainAndAgain } from "./killing.ts"
import type { Holding } from "./Observer.ts"
import { describeReport } from "./report.ts"
import type { Rig, RigOptions } from "./Rig.ts"
import { databaseStage, makeRig } from "./Rig.ts"
import type { TcpProxy } from "./TcpProxy.ts"
import { tcpProxy } from "./TcpProxy.ts"
import type { Worker } from "./WorkerProcess.ts"

const lease = 1_000

class Stage extends Context.Tag("effect-lambda-scheduler/test/chaos/crash.test/Stage")<Stage, {
  readonly rig: (schema: string, options?: Partial<RigOptions>) => Effect.Effect<Rig, never, Scope.Scope>
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
      return {
        rig: (schema: string, options: Partial<RigOptions> = {}) => makeRig(stage, { seed, lease, schema, ...options }),
        proxy: Effect.map(tcpProxy(stage), (proxy) => ({ ...proxy, databaseUrl: stage.databaseUrl(proxy.port) })),
        restart: stage.restart
      }
    })
  ).pipe(Layer.provide(Logger.minimumLogLevel(LogLevel.Error)), Layer.orDie)
}

/** Long enough for every worker to hold something in every phase. */
const warmUp = Effect.sleep("1200 millis")

const acknowledged = (worker: Worker): number => worker.journal().filter(({ kind }) => kind === "acknowledged").length

/** Waits until a worker has been told of more than it had been so far. */
const goesOn = (worker: Worker, within: Duration.DurationInput = "8 seconds") =>
  Effect.suspend(() => {
    const before = acknowledged(worker)
    return Effect.sync(() => acknowledged(worker)).pipe(
      Effect.delay("50 millis"),
      Effect.repeat({ until: (count) => count > before + 3 }),
      Effect.timeoutOption(within),
      Effect.map((gone) => expect(Option.isSome(gone), `${worker.name} goes on: ${worker.output()}`).toBe(true))
    )
  })

const outcomesOf = (tasks: ReadonlyArray<TaskRow>, holdings: ReadonlyArray<Holding>) =>
  holdings.filter(({ status }) => status === "Running").map(({ attempt, id }) =>
    tasks.find((task) => task.id === id)?.attempts.find(({ number }) => number === attempt)?.outcome
  )

layer(Stage.layer, { excludeTestServices: true, timeout: "60 seconds" })("a scheduler survives", (it) => {
  it.scoped("SIGKILL, again and again, while others live", () =>
    Effect.gen(function*() {
      const { rig } = yield* Stage
      const report = yield* killAgainAndAgain(yield* rig("kills"), { kills: 15, workers: 3, pause: [200, 700] })
      yield* Console.log(describeReport(report))
      expect(report.violations).toEqual([])
      expect(report.full).toBeGreaterThanOrEqual(15)
      expect(report.unknownAttempts).toBeGreaterThan(0)
    }), 60_000)

  it.scoped("SIGKILL of the only one", () =>
    Effect.gen(function*() {
      const rig = yield* (yield* Stage).rig("alone")
      const first = yield* rig.startWorker()
      yield* warmUp
      const killedAt = now()
      first.kill("SIGKILL")
      yield* first.ended
      const next = yield* rig.startWorker()
      // A lease from the kill on, or as soon as there is somebody.
      const held = yield* rig.noteEnd(first, Math.max(killedAt, now() - lease))
      expect(held.length).toBeGreaterThan(0)
      yield* goesOn(next)
      expect(yield* rig.verdict).toEqual([])
    }))

  it.scoped("SIGTERM: waits for what runs as long as its grace, and hands everything back", () =>
    Effect.gen(function*() {
      const steady = { latency: { least: 1_200, mean: 1_200, most: 1_200 } }
      const rig = yield* (yield* Stage).rig("stops", { functions: { steady } })
      const load = { functions: ["steady"], rate: 10 } as const
      const [patient, hasty] = yield* Effect.all([
        rig.startWorker({ load, engine: { shutdownGrace: 4_000 } }),
        rig.startWorker({ load, engine: { shutdownGrace: 200 } }),
        rig.startWorker({ load })
      ], { concurrency: "unbounded" })
      yield* warmUp
      const asked = now()
      patient.kill("SIGTERM")
      hasty.kill("SIGTERM")
      const patientRuns = yield* rig.observer.holdings(patient.instances())
      const hastyRuns = yield* rig.observer.holdings(hasty.instances())
      const [patientEnd, hastyEnd] = yield* Effect.all([patient.ended, hasty.ended], { concurrency: "unbounded" })
      const ours = [...patient.instances(), ...hasty.instances()]
      expect(yield* rig.observer.holdings(ours)).toEqual([])
      expect([...yield* rig.observer.living].filter((id) => ours.includes(id))).toEqual([])
      expect([patientEnd.code, hastyEnd.code]).toEqual([0, 0])
      expect(patientEnd.at - asked).toBeLessThan(1_200 + 2_000)
      expect(hastyEnd.at - asked).toBeLessThan(200 + 5_000)

      expect(yield* rig.verdict).toEqual([])
      const { tasks } = yield* rig.history
      expect(new Set(outcomesOf(tasks, patientRuns))).toEqual(new Set(["succeeded"]))
      expect(outcomesOf(tasks, hastyRuns)).toContain("unknown")
    }))

  it.scoped("a freeze longer than its lease: another does its work, and its late results are refused", () =>
    Effect.gen(function*() {
      const rig = yield* (yield* Stage).rig("freeze")
      const [frozen] = yield* Effect.all([rig.startWorker(), rig.startWorker()], { concurrency: "unbounded" })
      yield* warmUp
      const before = frozen.instances().length
      frozen.kill("SIGSTOP")
      const held = yield* rig.noteEnd(frozen, now())
      yield* Effect.sleep(2.5 * lease)
      frozen.kill("SIGCONT")
      yield* goesOn(frozen)
      expect(frozen.instances().length).toBeGreaterThan(before)

      expect(yield* rig.verdict).toEqual([])
      const outcomes = outcomesOf((yield* rig.history).tasks, held)
      expect(outcomes.length).toBeGreaterThan(0)
      expect(new Set(outcomes)).toEqual(new Set(["unknown"]))
    }))

  for (const mode of ["immediate", "fast"] as const) {
    it.scoped(`a restart of PostgreSQL, -m ${mode}`, () =>
      Effect.gen(function*() {
        const { restart, rig: makeRig } = yield* Stage
        const rig = yield* makeRig(`restart_${mode}`)
        const workers = yield* Effect.all([rig.startWorker(), rig.startWorker()], { concurrency: "unbounded" })
        yield* warmUp
        yield* restart(mode)
        yield* Effect.sleep("200 millis")
        for (const worker of workers) yield* goesOn(worker)
        expect(yield* rig.verdict).toEqual([])
      }))
  }

  it.scoped("connections that the database ends, all of them or some", () =>
    Effect.gen(function*() {
      const rig = yield* (yield* Stage).rig("backends")
      const workers = yield* Effect.all([rig.startWorker(), rig.startWorker()], { concurrency: "unbounded" })
      yield* warmUp
      let ended = 0
      for (const share of [1, 0.3, 0.3, 0.3, 1, 0.5, 0.5, 0.5, 1]) {
        ended += yield* rig.observer.terminate(share)
        yield* Effect.sleep("200 millis")
      }
      expect(ended).toBeGreaterThan(10)
      for (const worker of workers) yield* goesOn(worker)
      expect(yield* rig.verdict).toEqual([])
    }))

  /** One worker behind a proxy, another not. */
  const besideOne = (schema: string, options?: Partial<RigOptions>) =>
    Effect.gen(function*() {
      const stage = yield* Stage
      const proxy = yield* stage.proxy
      const rig = yield* stage.rig(schema, options)
      const [behind, direct] = yield* Effect.all([
        rig.startWorker({ databaseUrl: proxy.databaseUrl }),
        rig.startWorker()
      ], { concurrency: "unbounded" })
      yield* warmUp
      return { proxy, rig, behind, direct }
    })

  it.scoped("a network that breaks connections, and refuses new ones for a while", () =>
    Effect.gen(function*() {
      const { behind, proxy, rig } = yield* besideOne("cuts")
      for (let round = 0; round < 5; round++) {
        expect(yield* proxy.cut).toBeGreaterThan(0)
        yield* Effect.sleep("250 millis")
      }
      yield* proxy.refuse
      yield* proxy.cut
      yield* Effect.sleep("300 millis")
      yield* proxy.forward
      yield* goesOn(behind)
      expect(yield* rig.verdict).toEqual([])
    }))

  it.scoped("a network that takes 400 ms each way, without being taken for dead", () =>
    Effect.gen(function*() {
      const { behind, proxy, rig } = yield* besideOne("delay", { lease: 6_000 })
      yield* proxy.delay(400)
      yield* goesOn(behind)
      yield* Effect.sleep("3 seconds")
      yield* proxy.forward
      expect(behind.instances()).toHaveLength(1)
      expect(yield* rig.verdict).toEqual([])
    }))

  it.scoped("an answer that gets lost, to a COMMIT and to anything else", () =>
    Effect.gen(function*() {
      const { behind, proxy, rig } = yield* besideOne("swallow")
      const statements = [
        /INSERT INTO \S*tasks/,
        /COMMIT/,
        /UPDATE \S*tasks/,
        /status = 'Running'/,
        /UPDATE \S*instances/
      ]
      let swallowed = 0
      for (const statement of [...statements, ...statements]) {
        swallowed += Option.isSome(yield* Effect.timeoutOption(proxy.swallow(statement), "2 seconds")) ? 1 : 0
      }
      expect(swallowed).toBeGreaterThanOrEqual(statements.length)
      yield* goesOn(behind)
      expect(yield* rig.verdict).toEqual([])
    }))

  it.scoped("a network that says nothing any more: another does its work, and it comes back", () =>
    Effect.gen(function*() {
      const { behind, proxy, rig } = yield* besideOne("hole")
      const before = behind.instances().length
      yield* proxy.blackHole
      const held = yield* rig.noteEnd(behind, now())
      expect(held.length).toBeGreaterThan(0)
      yield* Effect.sleep(2.5 * lease)
      yield* proxy.forward
      yield* goesOn(behind)
      expect(behind.instances().length).toBeGreaterThan(before)
      expect(yield* rig.verdict).toEqual([])
    }))

  it.scoped("clocks that are ten minutes off, ahead and behind", () =>
    Effect.gen(function*() {
      const rig = yield* (yield* Stage).rig("clocks")
      const workers = yield* Effect.all([
        rig.startWorker({ clockSkew: 600_000 }),
        rig.startWorker({ clockSkew: -600_000 }),
        rig.startWorker()
      ], { concurrency: "unbounded" })
      yield* warmUp
      const [killed] = workers
      killed.kill("SIGKILL")
      yield* rig.noteEnd(killed, (yield* killed.ended).at)
      yield* Effect.sleep(2.5 * lease)
      expect(yield* rig.verdict).toEqual([])
      const { tasks } = yield* rig.history
      expect(tasks.length).toBeGreaterThan(50)
      // Nobody's ten minutes have got into an instant.
      const at = now()
      for (const { dueAt, nominalAt } of tasks) {
        expect(Math.abs(at - nominalAt)).toBeLessThan(60_000)
        expect(Math.abs(at - dueAt)).toBeLessThan(60_000)
      }
    }))
})
