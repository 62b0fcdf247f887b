import { Effect, Logger, LogLevel } from "effect"
import pg from "pg"
import { databaseStage, makeRig } from "./Rig.ts"
const seed = Number(process.argv[2] ?? 1)
const load = { rate: 12, ahead: 1_000 }
import { tcpProxy } from "./TcpProxy.ts"
Effect.runPromise(Effect.scoped(
  Effect.gen(function*() {
    const stage = yield* databaseStage
    for (let n = 0; n < 6; n++) {
      const schema = "smoke" + n
      const rig = yield* makeRig(stage, { seed: seed + n, lease: 1_000, schema })
      const proxy = yield* tcpProxy(stage)
      const ws = yield* Effect.all([
        rig.startWorker({ load, databaseUrl: stage.databaseUrl(proxy.port) }),
        rig.startWorker({ load })
      ])
      const pool = new pg.Pool({ connectionString: stage.databaseUrl() })
      const q = (t: string, p: Array<any> = []) =>
        Effect.promise(() => pool.query(t, p)).pipe(Effect.map((r) => r.rows))
      yield* Effect.sleep(1000)
      const [f] = ws
      yield* proxy.delay(40)
      yield* Effect.sleep(700)
      f.kill("SIGSTOP")
      const at = Date.now()
      yield* rig.noteEnd(f, at)
      const old = f.instances()
      for (let i = 0; i < 8; i++) {
        yield* Effect.sleep(400)
        if (i === 6) {
          f.kill("SIGCONT")
          console.log("CONT")
        }
        const held = yield* q(
          `select id, status, name, schedule_id is not null as occ, attempt, token from ${schema}.tasks where owner = any($1)`,
          [old]
        )
        if (Date.now() - at > 1500) {
          const locks = yield* q(
            `select a.pid, a.state, now()-xact_start as age, left(query, 90) q, array_agg(distinct l.relation::regclass::text) from pg_stat_activity a join pg_locks l using (pid) where a.state <> 'active' and l.relation is not null group by 1,2,3,4`
          )
          console.log(Date.now() - at, held, locks)
        }
      }
      console.log(yield* rig.verdict)
      for (const w of ws) w.kill("SIGKILL")
      yield* Effect.promise(() => pool.end())
    }
  }).pipe(Logger.withMinimumLogLevel(LogLevel.Error))
)).catch((e) => console.log(e))
