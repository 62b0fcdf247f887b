import { Effect, Logger, LogLevel } from "effect"
import pg from "pg"
import { killAgainAndAgain } from "./killing.ts"
import { describeReport } from "./report.ts"
import { databaseStage, makeRig } from "./Rig.ts"
const seed = Number(process.argv[2] ?? 1)
Effect.runPromise(Effect.scoped(
  Effect.gen(function*() {
    const stage = yield* databaseStage
    const rig = yield* makeRig(stage, { seed, lease: 1_000, schema: "smoke" })
    const r = yield* killAgainAndAgain(rig, { kills: Number(process.argv[3] ?? 15), workers: 3, pause: [200, 700] })
    console.log(describeReport(r))
    const tk = yield* rig.takeovers
    console.log(
      tk.endings.map(
        (e) => [e.instances.join(), e.freedAt! - e.endedAt, e.lastHeldAt! - e.endedAt, e.endedAt, e.held.length]
      ),
      tk.stalls
    )
    console.log(r.violations.slice(0, 20), r.violations.length)
    const pool = new pg.Pool({ connectionString: stage.databaseUrl() })
    console.log(
      (yield* Effect.promise(() =>
        pool.query(
          "select id, status, name, function_name, owner, token, attempt, started_at, due_at from smoke.tasks where finished_at is null"
        )
      )).rows
    )
    console.log((yield* Effect.promise(() => pool.query("select * from smoke.instances"))).rows)
    const stuck = (yield* Effect.promise(() => pool.query("select id from smoke.tasks where finished_at is null"))).rows
      .map((r: any) => r.id)
    const late = [...new Set(r.violations.map((v) => v.what.slice(0, 36)))].filter((x) => /^[0-9a-f-]{36}$/.test(x))
      .slice(0, 4)
    if (late.length) {
      console.log((yield* rig.endpoint).filter((l) => late.includes(l.taskId)))
      console.log(
        (yield* Effect.promise(() =>
          pool.query(
            "select task_id, number, token, owner, started_at, ended_at, outcome, error from smoke.task_attempts where task_id = any($1)",
            [late]
          )
        )).rows
      )
      console.log(
        (yield* Effect.promise(() => pool.query("select * from smoke.tasks where id = any($1)", [late]))).rows
      )
    }
    if (stuck.length) {
      console.log((yield* rig.endpoint).filter((l) => stuck.includes(l.taskId)))
      console.log(
        (yield* Effect.promise(() =>
          pool.query(
            "select task_id, number, token, owner, started_at, ended_at, outcome, error from smoke.task_attempts where task_id = any($1)",
            [stuck]
          )
        )).rows
      )
    }
    for (const w of yield* rig.running) console.log(w.name, w.instances(), w.output())
    yield* Effect.promise(() => pool.end())
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Error))
)).catch((e) => console.log(e))
