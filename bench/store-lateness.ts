/** How late Tasks start on the PostgreSQL store, 100 a second. */
import { Effect, Layer } from "effect"
import type { Bench } from "./support/Bench.ts"
import { lateness } from "./support/lateness.ts"
import { Connections, insistDurable, Postgres } from "./support/store.ts"

export default {
  about: "Tasks due 10 ms apart for 20 seconds: from dueAt to the invocation",
  run: Effect.zipRight(insistDurable, lateness(20)).pipe(Effect.provide(Layer.provideMerge(Connections, Postgres)))
} satisfies Bench
