/** The scheduler's metrics as Prometheus reads them: its text format, version 0.0.4. */
import { Clock, Effect, Metric, MetricState } from "effect"
import type { MetricPair } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { EpochMillis } from "../domain/Time.ts"
import { metricDescriptions } from "../engine/EngineMetrics.ts"
import type { MetricDescription, MetricName } from "../engine/EngineMetrics.ts"
import type { Backlog } from "../ports/TaskRepository.ts"

export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8"

/** A scrape is not to wait for a store that hangs: the other metrics are what tells of it. */
const backlogWithin = "2 seconds"

type Labels = ReadonlyArray<readonly [name: string, value: string]>

const escaped = (text: string): string => text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")

const labelsOf = (labels: Labels): string =>
  labels.length === 0
    ? ""
    : `{${labels.map(([name, value]) => `${name}="${escaped(value).replace(/"/g, "\\\"")}"`).join(",")}}`

const numberOf = (value: number | bigint): string =>
  value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value)

const sample = (name: string, labels: Labels, value: number | bigint): string =>
  `${name}${labelsOf(labels)} ${numberOf(value)}`

const tagsOf = ({ metricKey }: MetricPair.MetricPair.Untyped): Labels =>
  metricKey.tags.map(({ key, value }) => [key, value])

/** The registry is a hash map: without an order of ours each process would have its own. */
const byLabels = (a: MetricPair.MetricPair.Untyped, b: MetricPair.MetricPair.Untyped): number =>
  labelsOf(tagsOf(a)) < labelsOf(tagsOf(b)) ? -1 : 1

const samplesOf = (pair: MetricPair.MetricPair.Untyped): ReadonlyArray<string> => {
  const { metricKey: { name }, metricState } = pair
  const labels = tagsOf(pair)
  if (MetricState.isHistogramState(metricState)) {
    // The last of Effect's buckets is the infinite one.
    return [
      ...metricState.buckets.map(([bound, count]) =>
        sample(`${name}_bucket`, [...labels, ["le", numberOf(bound)]], count)
      ),
      sample(`${name}_sum`, labels, metricState.sum),
      sample(`${name}_count`, labels, metricState.count)
    ]
  }
  if (MetricState.isCounterState(metricState)) return [sample(name, labels, metricState.count)]
  return MetricState.isGaugeState(metricState) ? [sample(name, labels, metricState.value)] : []
}

const family = ({ meaning, name, type }: MetricDescription, samples: ReadonlyArray<string>): ReadonlyArray<string> =>
  samples.length === 0 ? [] : [`# HELP ${name} ${escaped(meaning)}`, `# TYPE ${name} ${type}`, ...samples]

/**
 * The text of one scrape: every metric that is described and has a value, in the order of the descriptions.
 *
 * @param pairs the process's metrics; those that are not ours are passed over
 * @param gauges what was looked up for this scrape
 *
 * @example
 * prometheusText(metricDescriptions, Metric.unsafeSnapshot(), { lambda_scheduler_due_backlog: 3 })
 */
export const prometheusText = (
  descriptions: ReadonlyArray<MetricDescription>,
  pairs: ReadonlyArray<MetricPair.MetricPair.Untyped>,
  gauges: Readonly<Record<string, number>>
): string =>
  descriptions.flatMap((description) => {
    const { name } = description
    const samples = pairs.filter(({ metricKey }) => metricKey.name === name).sort(byLabels).flatMap(samplesOf)
    const gauge = gauges[name]
    return family(description, gauge === undefined ? samples : [sample(name, [], gauge)])
  }).map((line) => `${line}\n`).join("")

const backlogGauges = ({ due, oldestDueAt }: Backlog, now: EpochMillis) =>
  ({
    lambda_scheduler_due_backlog: due,
    lambda_scheduler_oldest_due_age_seconds: oldestDueAt === undefined ? 0 : Math.max(0, now - oldestDueAt) / 1_000
  }) satisfies { readonly [Name in MetricName]?: number }

const gaugesOf = (
  backlog: Effect.Effect<Backlog, TaskRepositoryError>
): Effect.Effect<Readonly<Record<string, number>>> =>
  backlog.pipe(
    Effect.disconnect,
    Effect.timeout(backlogWithin),
    Effect.zipWith(Clock.currentTimeMillis, backlogGauges),
    Effect.catchAllCause((cause) =>
      Effect.as(Effect.logWarning("The metrics are served without the backlog: the store did not tell it", cause), {})
    )
  )

/**
 * Answers a scrape. When the store does not answer, or not in time, what it would have been asked for is left out.
 *
 * @param backlog asks the store
 */
export const scrape = (backlog: Effect.Effect<Backlog, TaskRepositoryError> | undefined): Effect.Effect<string> =>
  Effect.map(
    backlog === undefined ? Effect.succeed({}) : gaugesOf(backlog),
    (gauges) => prometheusText(metricDescriptions, Metric.unsafeSnapshot(), gauges)
  )
