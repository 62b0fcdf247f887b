import { describe, expect, it } from "@effect/vitest"
import { Metric, MetricState } from "effect"
import { engineMetrics, metricDescriptions } from "../../src/engine/EngineMetrics.ts"

/** What each series of a metric has counted: its labels as text, and its number. */
const read = (name: string): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Metric.unsafeSnapshot().filter(({ metricKey }) => metricKey.name === name).map(({ metricKey, metricState }) => [
      metricKey.tags.map(({ key, value }) => `${key}=${value}`).join(),
      MetricState.isHistogramState(metricState) || MetricState.isCounterState(metricState)
        ? Number(metricState.count)
        : MetricState.isGaugeState(metricState)
        ? Number(metricState.value)
        : NaN
    ])
  )

/** By how much each series of a metric grows. */
const growth = (name: string, update: () => void): Readonly<Record<string, number>> => {
  const before = read(name)
  update()
  return Object.fromEntries(
    Object.entries(read(name)).map(([series, value]) => [series, value - (before[series] ?? 0)] as const)
      .filter(([, grown]) => grown !== 0)
  )
}

describe("the engine's metrics", () => {
  it("have every series from the start, and only labels of few values", () => {
    for (const { label, name, type } of metricDescriptions) {
      // Looked up when they are asked for.
      const isLookedUp = name === "lambda_scheduler_due_backlog" || name === "lambda_scheduler_oldest_due_age_seconds"
      const series = label === undefined ? [""] : label.values.map((value) => `${label.name}=${value}`)
      expect([name, ...Object.keys(read(name)).sort()]).toEqual([name, ...(isLookedUp ? [] : series.sort())])
      expect([name, type === "counter"]).toEqual([name, name.endsWith("_total")])
      expect(name).toMatch(/^lambda_scheduler_[a-z_]+$/)
      expect(series.length).toBeLessThanOrEqual(10)
    }
  })

  it("count what they are told", () => {
    const cases: ReadonlyArray<readonly [name: string, update: () => void, grown: Record<string, number>]> = [
      ["lateness_seconds", () => engineMetrics.lateness(7), { "": 1 }],
      ["attempts_total", () => engineMetrics.attemptEnded("failed"), { "outcome=failed": 1 }],
      ["attempts_total", () => engineMetrics.attemptEnded("notSent"), { "outcome=notSent": 1 }],
      ["dead_letters_total", engineMetrics.deadLetter, { "": 1 }],
      ["tasks_claimed_total", () => engineMetrics.claimed(12), { "": 12 }],
      ["tasks_claimed_total", () => engineMetrics.claimed(0), {}],
      ["leases_lost_total", engineMetrics.leaseLost, { "": 1 }],
      ["late_writes_refused_total", engineMetrics.lateWriteRefused, { "": 1 }],
      ["reaped_claims_total", () => engineMetrics.reaped(3, 0), { "": 3 }],
      ["reaped_attempts_total", () => engineMetrics.reaped(0, 2), { "": 2 }],
      ["group_commit_size", () => engineMetrics.groupCommit("settle", 40), { "lane=settle": 1 }],
      ["store_errors_total", engineMetrics.storeErrors, { "": 1 }]
    ]
    for (const [name, update, grown] of cases) {
      expect([name, growth(`lambda_scheduler_${name}`, update)]).toEqual([name, grown])
    }
  })

  it("the running attempts of several schedulers add up", () => {
    const name = "lambda_scheduler_attempts_running"
    const changes = [1, 1, 1, -1]
    expect(growth(name, () => changes.forEach(engineMetrics.running))).toEqual({ "": 2 })
    expect(growth(name, () => engineMetrics.running(-2))).toEqual({ "": -2 })
  })

  it("lateness is in seconds, from a millisecond to five minutes, and never negative", () => {
    const state = () => {
      const found = Metric.unsafeSnapshot().find(({ metricKey }) =>
        metricKey.name === "lambda_scheduler_lateness_seconds"
      )
      return found?.metricState as MetricState.MetricState.Histogram
    }
    const before = state()
    for (const late of [-20, 0, 1, 1.5, 300_000, 300_001, NaN]) engineMetrics.lateness(late)
    const after = state()
    const counts = after.buckets.map(([bound, count], index) => [bound, count - (before.buckets[index]?.[1] ?? 0)])
    expect(counts[0]).toEqual([0.001, 4])
    expect(counts.at(-2)).toEqual([300, 6])
    expect(counts.at(-1)).toEqual([Infinity, 7])
    expect(after.sum - before.sum).toBeCloseTo(600.0035, 6)
  })

  it("an update costs next to nothing", () => {
    const rounds = 200_000
    const update = () => {
      for (let index = 0; index < rounds; index++) {
        engineMetrics.lateness(index & 255)
        engineMetrics.running(1)
        engineMetrics.running(-1)
        engineMetrics.attemptEnded("succeeded")
      }
    }
    update()
    const from = performance.now()
    update()
    const nanosEach = (performance.now() - from) * 1e6 / (4 * rounds)
    // Measured: 20. The bound is one that a busy machine keeps, and that a lookup by hash does not.
    expect(nanosEach).toBeLessThan(300)
  })
})
