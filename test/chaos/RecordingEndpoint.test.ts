/** The recording endpoint, asked by the real client. */
import { expect, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { LambdaClient } from "../../src/ports/LambdaClient.ts"
import { clientAt, request } from "../adapters/aws/support/live.ts"
import { bundle } from "./programs.ts"
import { recordingEndpoint } from "./RecordingEndpoint.ts"
import type { FunctionScripts } from "./settings.ts"

const quick = { least: 1, mean: 2, most: 5 }

class Program extends Context.Tag("effect-lambda-scheduler/test/chaos/RecordingEndpoint.test/Program")<
  Program,
  string
>() {
  static readonly layer = Layer.scoped(Program, bundle("endpoint.ts"))
}

const endpointWith = (functions: FunctionScripts) =>
  Effect.flatMap(Program, (program) => recordingEndpoint(program, { seed: 1, functions }))

const call = (client: Context.Tag.Service<LambdaClient>, name: string, attempt: number, timeout = 5_000) =>
  client.invoke(
    request({
      target: { name, arn: undefined, qualifier: undefined, timeout: 3_000 },
      clientContext: { taskId: `${name}-task`, attempt, idempotencyKey: `${name}-key` },
      timeout
    })
  ).pipe(Effect.as("success"), Effect.catchAll(({ reason }) => Effect.succeed(reason)))

layer(Program.layer, { excludeTestServices: true })("the recording endpoint", (it) => {
  it.scoped("writes down arrivals and answers, and answers as scripted", () =>
    Effect.gen(function*() {
      const { log, url } = yield* endpointWith({
        steady: { latency: { least: 60, mean: 60, most: 60 } },
        broken: { latency: quick, errors: 1 },
        busy: { latency: quick, throttles: 1 },
        cut: { latency: quick, resets: 1 },
        mute: { latency: quick, hangs: 1 }
      })
      const client = yield* clientAt(url)
      const before = performance.timeOrigin + performance.now()
      expect(yield* call(client, "steady", 1)).toBe("success")
      expect(yield* call(client, "broken", 1)).toBe("FunctionError")
      expect(yield* call(client, "busy", 1)).toBe("Throttled")
      expect(yield* call(client, "cut", 1)).toBe("NoAnswer")
      expect(yield* call(client, "mute", 1, 100)).toBe("NoAnswer")
      expect(yield* call(client, "unheard of", 2)).toBe("success")

      const lines = yield* log
      expect(lines.map(({ attempt, function: name, idempotencyKey, kind, taskId, verdict }) =>
        [kind, name, attempt, taskId, idempotencyKey, verdict].join(" ").trim()
      )).toEqual([
        "arrival steady 1 steady-task steady-key",
        "answer steady 1 steady-task steady-key success",
        "arrival broken 1 broken-task broken-key",
        "answer broken 1 broken-task broken-key error",
        "arrival busy 1 busy-task busy-key",
        "answer busy 1 busy-task busy-key throttle",
        "arrival cut 1 cut-task cut-key",
        "answer cut 1 cut-task cut-key reset",
        "arrival mute 1 mute-task mute-key",
        "arrival unheard of 2 unheard of-task unheard of-key",
        "answer unheard of 2 unheard of-task unheard of-key success"
      ])
      const [arrival, answer] = lines
      expect(arrival?.t).toBeGreaterThanOrEqual(before - 1)
      expect((answer?.t ?? 0) - (arrival?.t ?? 0)).toBeGreaterThanOrEqual(59)
    }))

  it.scoped("runs a function to its end though its caller has gone", () =>
    Effect.gen(function*() {
      const { log, url } = yield* endpointWith({ steady: { latency: { least: 150, mean: 150, most: 150 } } })
      const client = yield* clientAt(url)
      expect(yield* call(client, "steady", 1, 50)).toBe("NoAnswer")
      const lines = yield* Effect.repeat(Effect.delay(log, "10 millis"), { until: ({ length }) => length === 2 })
      expect(lines[1]).toMatchObject({ kind: "answer", verdict: "success", delivered: false })
    }))

  it.scoped("does the same again for the same seed", () =>
    Effect.gen(function*() {
      const functions = { mixed: { latency: quick, errors: 0.3, throttles: 0.3 } }
      const told = Effect.scoped(Effect.gen(function*() {
        const client = yield* clientAt((yield* endpointWith(functions)).url)
        return yield* Effect.forEach(
          Array.from({ length: 30 }, (_, index) => index + 1),
          (n) => call(client, "mixed", n)
        )
      }))
      const first = yield* told
      expect(new Set(first)).toEqual(new Set(["success", "FunctionError", "Throttled"]))
      expect(yield* told).toEqual(first)
    }))
})
