import { Effect, Logger, LogLevel } from "effect"
import { now } from "./chanceAndTime.ts"
import { databaseStage, makeRig } from "./Rig.ts"
Effect.runPromise(Effect.scoped(
  Effect.gen(function*() {
    let t = now()
    const lap = (s: string) => {
      console.log(s, now() - t)
      t = now()
    }
    const stage = yield* databaseStage
    lap("stage")
    const rig = yield* makeRig(stage, { seed: 1, lease: 120_000, schema: "smoke" })
    lap("rig")
    const w = yield* rig.startWorker()
    lap("worker")
    yield* Effect.sleep(5000)
    t = now()
    console.log(w.output())
    console.log(
      "journal",
      w.journal().length,
      w.journal().filter((l) => l.kind === "refused").slice(0, 3),
      "unanswered",
      w.unanswered(),
      w.instances()
    )
    console.log(
      (yield* rig.observer.holdings(w.instances())).length,
      yield* rig.observer.living,
      yield* rig.observer.owners
    )
    t = now()
    const v = yield* rig.verdict
    lap("verdict")
    console.log(v.slice(0, 20), v.length)
    const h = yield* rig.history
    console.log(
      h.tasks.length,
      h.endpoint.length,
      h.acknowledged.length,
      JSON.stringify(h.tasks.slice(0, 3)),
      h.schedules
    )
    const c: Record<string, number> = {}
    for (const r of h.tasks) c[r.status] = (c[r.status] ?? 0) + 1
    console.log(c)
    console.log(w.output())
    w.kill("SIGTERM")
    console.log(yield* w.ended)
    lap("term")
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Error))
)).catch((e) => console.log(e))
