/** What a run of kills has come to, in words. */
import type { KillingReport } from "./killing.ts"
import { phases } from "./killing.ts"

const quantile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN

/** A few lines for people. */
export const describeReport = (report: KillingReport): string =>
  [
    `${report.kills.length} kills, ${report.full} of them in the midst of asking, waiting and running; ` +
    `${report.tasks} Tasks, ${report.acknowledged} acknowledged, ${report.unknownAttempts} unknown attempts`,
    `Kills that hit: ${phases.map((phase) => `${phase} ${report.hits[phase]}`).join(", ")}`,
    `Work was free again after ${quantile(report.takeovers, 0.5)} ms (median), ${
      quantile(report.takeovers, 1)
    } ms (longest)`
  ].join("\n")
