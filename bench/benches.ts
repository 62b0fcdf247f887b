/** The benchmarks by name; each is loaded only in the process that runs it. */
import type { Bench } from "./support/Bench.ts"

export const benches: Readonly<Record<string, () => Promise<{ readonly default: Bench }>>> = {
  "memory-throughput": () => import("./memory-throughput.ts"),
  "memory-pending": () => import("./memory-pending.ts"),
  "memory-lateness": () => import("./memory-lateness.ts"),
  "store-insert": () => import("./store-insert.ts"),
  "store-drain": () => import("./store-drain.ts"),
  startup: () => import("./startup.ts"),
  "local-lambda": () => import("./local-lambda.ts"),
  "virtual-year": () => import("./virtual-year.ts")
}
