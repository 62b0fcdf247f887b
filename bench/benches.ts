/** The benchmarks by name; each is loaded only in the process that runs it. */
import type { Bench } from "./support/Bench.ts"

export const benches: Readonly<Record<string, () => Promise<{ readonly default: Bench }>>> = {
  "memory-throughput": () => import("./memory-throughput.ts"),
  "memory-pending": () => import("./memory-pending.ts"),
  "memory-lateness": () => import("./memory-lateness.ts"),
  "store-insert": () => import("./store-insert.ts"),
  "store-bulk": () => import("./store-bulk.ts"),
  "store-drain": () => import("./store-drain.ts"),
  "store-lateness": () => import("./store-lateness.ts"),
  "store-pending": () => import("./store-pending.ts"),
  "store-idle": () => import("./store-idle.ts"),
  "store-burst": () => import("./store-burst.ts"),
  "throttled-target": () => import("./throttled-target.ts"),
  outage: () => import("./outage.ts"),
  "cron-next": () => import("./cron-next.ts"),
  "cron-live": () => import("./cron-live.ts"),
  startup: () => import("./startup.ts"),
  "local-lambda": () => import("./local-lambda.ts"),
  "virtual-year": () => import("./virtual-year.ts")
}
