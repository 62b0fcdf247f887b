/** The AWS client through the real SDK, against the local runtime's REST face: real signatures, real processes. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { LocalLambdaServer } from "../../../src/adapters/local/index.ts"
import { inline } from "../../../src/domain/LambdaFunction.ts"
import { clientAt, request, testRole } from "./support/live.ts"

const handler = `
export const handler = async (event, context) => {
  console.log("said", event.say)
  if (event.fail) throw new TypeError("as told")
  if (event.spin) for (;;);
  return { version: 1, secret: process.env.SECRET, task: context.clientContext?.custom?.taskId }
}`

const setUp = Effect.gen(function*() {
  const context = yield* Layer.build(LocalLambdaServer.layer({ pendingFor: 50 }))
  const { url } = yield* Effect.provide(LocalLambdaServer, context)
  return yield* clientAt(url)
})

describe("on the local runtime's REST face", () => {
  it.scopedLive("deploys, invokes, updates and removes", () =>
    Effect.gen(function*() {
      const client = yield* setUp
      const spec = { timeout: "1 second", environment: { SECRET: Redacted.make("quiet") } } as const
      const { change, target } = yield* client.deploy(inline("end-to-end", handler, spec))
      expect(change).toBe("created")

      const result = yield* client.invoke(
        request({ target, payload: `{"say":"hello"}`, clientContext: { taskId: "t-1" } })
      )
      expect(JSON.parse(result.body.text)).toEqual({ version: 1, secret: "quiet", task: "t-1" })
      expect(result.logTail).toContain("hello")
      expect(result.executedVersion).toBe("$LATEST")
      expect(result.requestId).toMatch(/^[0-9a-f-]{36}$/)

      const threw = yield* Effect.flip(client.invoke(request({ target, payload: `{"fail":true}` })))
      expect(threw).toMatchObject({ reason: "FunctionError", errorType: "TypeError", message: "as told" })
      const spun = yield* Effect.flip(client.invoke(request({ target, payload: `{"spin":true}`, timeout: 10_000 })))
      expect(spun).toMatchObject({ reason: "FunctionTimeout", errorType: "Sandbox.Timedout" })

      expect((yield* client.deploy(inline("end-to-end", handler, spec))).change).toBe("unchanged")
      const next = handler.replace("version: 1", "version: 2")
      expect((yield* client.deploy(inline("end-to-end", next, { ...spec, memory: 256 }))).change).toBe("updated")
      expect(JSON.parse((yield* client.invoke(request({ target }))).body.text)).toMatchObject({ version: 2 })

      yield* client.remove("end-to-end")
      expect(yield* Effect.flip(client.invoke(request({ target })))).toMatchObject({ reason: "NotFound" })
    }))

  it.scopedLive("an owner's functions are nobody else's", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(LocalLambdaServer.layer({ pendingFor: 0 }))
      const { url } = yield* Effect.provide(LocalLambdaServer, context)
      const theirs = yield* clientAt(url, { ownerTag: { key: "owner", value: "theirs" } })
      const ours = yield* clientAt(url, { role: testRole })
      const { codeSha256 } = yield* theirs.deploy(inline("production", handler))
      expect(yield* Effect.flip(ours.deploy(inline("production", "export const handler = 1")))).toMatchObject({
        reason: "NotOwned"
      })
      expect(yield* Effect.flip(ours.remove("production"))).toMatchObject({ reason: "NotOwned" })
      expect(yield* theirs.deploy(inline("production", handler))).toMatchObject({ change: "unchanged", codeSha256 })
    }))
})
