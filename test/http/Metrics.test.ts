import { describe, expect, it } from "@effect/vitest"
import { Effect, Metric, MetricBoundaries, MetricKey, MetricPair, MetricState, Redacted } from "effect"
import { TaskRepositoryError } from "../../src/domain/Errors.ts"
import type { LambdaScheduler } from "../../src/engine/LambdaScheduler.ts"
import { prometheusText } from "../../src/http/Metrics.ts"
import type { Backlog } from "../../src/ports/TaskRepository.ts"
import { serve } from "./support.ts"

const withBacklog = (backlog: Effect.Effect<Backlog, TaskRepositoryError>) => (scheduler: LambdaScheduler["Type"]) => ({
  ...scheduler,
  backlog
})

interface Family {
  readonly type: string
  readonly samples: Array<{ readonly name: string; readonly labels: string; readonly value: number }>
}

const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const labelList =
  /^[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*")*$/

const numberOf = (text: string): number => {
  expect(text).toMatch(/^(-?\d+(\.\d+)?(e[+-]?\d+)?|[+-]Inf|NaN)$/)
  return Number(text.replace("Inf", "Infinity"))
}

/** Reads the text by the rules of the format, and checks them. */
const parse = (text: string): Map<string, Family> => {
  expect(text.endsWith("\n")).toBe(true)
  const families = new Map<string, Family>()
  const helped = new Set<string>()
  const seen = new Set<string>()
  let current = ""
  for (const line of text.slice(0, -1).split("\n")) {
    const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (keyword === "HELP") {
      expect([name, helped.has(name)]).toEqual([name, false])
      helped.add(name)
    } else if (keyword === "TYPE") {
      // Once, after its HELP, before its samples, which follow one another.
      expect([name, helped.has(name), families.has(name)]).toEqual([name, true, false])
      expect(["counter", "gauge", "histogram"]).toContain(rest)
      families.set(name, { type: rest, samples: [] })
      current = name
    } else {
      const [, name = "", labels = "", value = ""] = sampleLine.exec(line) ?? []
      const family = families.get(current)
      const suffixes = family?.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""]
      expect(suffixes.map((suffix) => current + suffix)).toContain(name)
      if (labels !== "") expect(labels).toMatch(labelList)
      expect([line, seen.has(`${name}{${labels}`)]).toEqual([line, false])
      seen.add(`${name}{${labels}`)
      family?.samples.push({ name, labels, value: numberOf(value) })
    }
  }
  for (const [name, { samples, type }] of families) {
    expect([name, samples.length > 0]).toEqual([name, true])
    expect([name, type === "counter"]).toEqual([name, name.endsWith("_total")])
    if (type === "histogram") checkHistogram(name, samples)
  }
  return families
}

const checkHistogram = (name: string, samples: Family["samples"]): void => {
  const series = new Map<string, Array<readonly [bound: number, count: number]>>()
  for (const { labels, name: sample, value } of samples) {
    if (sample !== `${name}_bucket`) continue
    const [, others = "", bound = ""] = /^(?:(.*),)?le="([^"]+)"$/.exec(labels) ?? []
    series.set(others, [...series.get(others) ?? [], [numberOf(bound), value]])
  }
  expect(series.size).toBeGreaterThan(0)
  for (const [labels, buckets] of series) {
    const value = (suffix: string) =>
      samples.find((sample) => sample.name === name + suffix && sample.labels === labels)?.value
    const bounds = buckets.map(([bound]) => bound)
    const counts = buckets.map(([, count]) => count)
    expect(bounds).toEqual([...bounds].sort((a, b) => a - b))
    expect(counts).toEqual([...counts].sort((a, b) => a - b))
    expect(bounds.at(-1)).toBe(Infinity)
    expect([name, labels, value("_count")]).toEqual([name, labels, counts.at(-1)])
    expect(value("_sum")).toBeDefined()
  }
}

const valueOf = (families: Map<string, Family>, name: string): number | undefined => {
  const [, family = "", labels = ""] = /^([a-z_]+)(?:\{(.*)\})?$/.exec(name) ?? []
  return families.get(family)?.samples.find((sample) => sample.labels === labels)?.value
}

describe("the text of the metrics", () => {
  const counterKey = MetricKey.counter("jobs_total", { description: "Jobs" })
  const text = prometheusText(
    [
      { name: "jobs_total", type: "counter", meaning: "Jobs \\ that\nended" },
      { name: "wait_seconds", type: "histogram", meaning: "How long" },
      { name: "missing_total", type: "counter", meaning: "Has no value" },
      { name: "backlog", type: "gauge", meaning: "How many" },
      { name: "running", type: "gauge", meaning: "How many" }
    ],
    [
      MetricPair.unsafeMake(MetricKey.gauge("somebody_elses"), MetricState.gauge(1)),
      MetricPair.unsafeMake(
        counterKey.pipe(MetricKey.tagged("outcome", "b"), MetricKey.tagged("where", "x")),
        MetricState.counter(1e21)
      ),
      MetricPair.unsafeMake(counterKey.pipe(MetricKey.tagged("outcome", "a \"q\" \\ \n")), MetricState.counter(12n)),
      MetricPair.unsafeMake(
        MetricKey.histogram("wait_seconds", MetricBoundaries.fromIterable([0.5, 1])).pipe(
          MetricKey.tagged("lane", "start")
        ),
        MetricState.histogram({ buckets: [[0.5, 1], [1, 1], [Infinity, 3]], count: 3, min: 0.1, max: 9, sum: 12.25 })
      ),
      MetricPair.unsafeMake(MetricKey.gauge("running"), MetricState.gauge(-2))
    ],
    { backlog: 0 }
  )

  it("is what Prometheus reads", () => {
    expect(text).toBe(String.raw`# HELP jobs_total Jobs \\ that\nended
# TYPE jobs_total counter
jobs_total{outcome="a \"q\" \\ \n"} 12
jobs_total{outcome="b",where="x"} 1e+21
# HELP wait_seconds How long
# TYPE wait_seconds histogram
wait_seconds_bucket{lane="start",le="0.5"} 1
wait_seconds_bucket{lane="start",le="1"} 1
wait_seconds_bucket{lane="start",le="+Inf"} 3
wait_seconds_sum{lane="start"} 12.25
wait_seconds_count{lane="start"} 3
# HELP backlog How many
# TYPE backlog gauge
backlog 0
# HELP running How many
# TYPE running gauge
running -2
`)
  })

  it("keeps the rules of the format", () => {
    expect([...parse(text).keys()]).toEqual(["jobs_total", "wait_seconds", "backlog", "running"])
  })
})

describe("GET /metrics", () => {
  it.scopedLive("shows what the scheduler has done, and the backlog of its store", () =>
    Effect.gen(function*() {
      yield* Metric.increment(Metric.counter("somebody_elses"))
      const now = performance.timeOrigin + performance.now()
      const { get } = yield* serve({
        scheduler: withBacklog(Effect.succeed({ due: 3, oldestDueAt: Math.round(now - 5_000) }))
      })
      const answer = yield* get("/metrics")
      expect([answer.status, answer.headers["content-type"]]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"])
      expect(answer.headers["cache-control"]).toBe("no-store")
      const families = parse(answer.text)
      expect([...families.keys()].filter((name) => !name.startsWith("lambda_scheduler_"))).toEqual([])
      expect(valueOf(families, "lambda_scheduler_due_backlog")).toBe(3)
      const age = valueOf(families, "lambda_scheduler_oldest_due_age_seconds")
      expect(age).toBeGreaterThanOrEqual(5)
      expect(age).toBeLessThan(15)
      expect(valueOf(families, `lambda_scheduler_attempts_total{outcome="succeeded"}`)).toBeGreaterThanOrEqual(0)
      expect((yield* get("/metrics?name=x")).refusal).toEqual([400, "QUERY_INVALID"])
    }))

  it.scopedLive("nothing due has no age", () =>
    Effect.gen(function*() {
      const { get } = yield* serve({ scheduler: withBacklog(Effect.succeed({ due: 0, oldestDueAt: undefined })) })
      const families = parse((yield* get("/metrics")).text)
      expect(valueOf(families, "lambda_scheduler_due_backlog")).toBe(0)
      expect(valueOf(families, "lambda_scheduler_oldest_due_age_seconds")).toBe(0)
    }))

  it.scopedLive("without a store that answers, all but the backlog is there", () =>
    Effect.gen(function*() {
      for (
        const backlog of [
          new TaskRepositoryError({ reason: "Unavailable", message: "postgres://user:pw@db" }),
          Effect.dieMessage("a defect of the store"),
          Effect.uninterruptible(Effect.never)
        ]
      ) {
        const { get } = yield* serve({ scheduler: withBacklog(backlog) })
        const { status, text } = yield* get("/metrics")
        expect(status).toBe(200)
        const families = parse(text)
        expect(families.has("lambda_scheduler_attempts_total")).toBe(true)
        expect(families.has("lambda_scheduler_due_backlog")).toBe(false)
        expect(families.has("lambda_scheduler_oldest_due_age_seconds")).toBe(false)
        expect(text).not.toContain("pw")
      }
    }))

  it.scopedLive("needs the key where there is one", () =>
    Effect.gen(function*() {
      const apiKey = "k".repeat(32)
      const { get } = yield* serve({ server: { apiKey: Redacted.make(apiKey) } })
      expect((yield* get("/metrics")).refusal).toEqual([401, "UNAUTHORIZED"])
      expect((yield* get("/metrics", { headers: { authorization: `Bearer ${apiKey}` } })).status).toBe(200)
    }))
})
