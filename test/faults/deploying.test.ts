/** Deployments that fail or take their time, and functions that come and go: F48, F52 to F54. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import type { DeploymentErrorReason } from "../../src/index.ts"
import { LambdaFunction, Trigger } from "../../src/index.ts"
import type { Answer, Script } from "../adapters/aws/support/endpoint.ts"
import { failure } from "../adapters/aws/support/endpoint.ts"
import type { ModelBehaviour } from "../adapters/aws/support/LambdaModel.ts"
import { makeModel } from "../adapters/aws/support/LambdaModel.ts"
import { scriptOf } from "../adapters/aws/support/modelFaces.ts"
import { agreed, atOnce, ended, fasterBy, launch, outcomesOf, reasonsOf } from "./rig.ts"
import type { FunctionScript } from "./ScriptedEndpoint.ts"
import { inTurn, ok, scriptedEndpoint } from "./ScriptedEndpoint.ts"

// Its timeout is of the fast clock too: a short one would be over before a slow machine has answered.
const fn = LambdaFunction.inline("hello", "export const handler = async () => null", { timeout: "15 minutes" })

const factor = 100
const second = 1_000

/** A scheduler, and a model of AWS that lives by its clock: a minute takes 0.6 seconds. */
const setUp = (
  behaviour: Partial<ModelBehaviour> = {},
  functions: Readonly<Record<string, FunctionScript>> = {},
  before: Script = () => undefined
) =>
  Effect.gen(function*() {
    const clock = fasterBy(factor)
    const begun = clock.unsafeCurrentTimeMillis()
    const model = makeModel({ now: () => clock.unsafeCurrentTimeMillis() - begun, ...behaviour })
    const asModel = scriptOf(model)
    const endpoint = yield* scriptedEndpoint(functions, {
      others: (asked, response) => before(asked, response) ?? asModel(asked, response)
    })
    return { endpoint, model, scheduler: yield* launch(endpoint, { clock }) }
  })

const isCreation: (asked: Parameters<Script>[0]) => boolean = ({ method, path }) =>
  method === "POST" && path.endsWith("/functions")

describe("F48: a function that is not found", () => {
  const notFound = failure(404, "ResourceNotFoundException", "Function not found")

  it.scopedLive("F48: but was created a moment ago is waited for, which costs nothing", () =>
    Effect.gen(function*() {
      const { endpoint, scheduler } = yield* setUp({}, { hello: inTurn(notFound, notFound, ok("1")) })
      const task = yield* ended(scheduler, (yield* scheduler.schedule(fn, { retry: { ...atOnce, maxAttempts: 1 } })).id)
      expect([task.status, outcomesOf(task)]).toEqual(["Succeeded", ["notReady", "notReady", "succeeded"]])
      const [first, next, last] = endpoint.log.map(({ at }) => at)
      expect((next ?? 0) - (first ?? 0)).toBeGreaterThan(20 * second / factor - 5)
      expect((last ?? 0) - (next ?? 0)).toBeGreaterThan(20 * second / factor - 5)
      yield* agreed(scheduler, endpoint)
    }))

  it.scopedLive("F48: for a minute, and then it is gone", () =>
    Effect.gen(function*() {
      const { endpoint, scheduler } = yield* setUp({}, { hello: inTurn(notFound) })
      const task = yield* ended(scheduler, (yield* scheduler.schedule(fn, { retry: { ...atOnce, maxAttempts: 5 } })).id)
      expect(task).toMatchObject({ status: "Failed", failure: { reason: "NotFound" } })
      expect(reasonsOf(task).slice(0, -1)).toEqual(task.attempts.slice(1).map(() => "NotReady"))
      const took = (task.attempts.at(-1)?.startedAt ?? 0) - (task.attempts[0]?.startedAt ?? 0)
      expect(took).toBeGreaterThanOrEqual(60 * second)
      expect(endpoint.log.length).toBeGreaterThanOrEqual(3)
      expect(endpoint.log.length).toBeLessThanOrEqual(4)
      // The next Task waits no more.
      const next = yield* ended(scheduler, (yield* scheduler.schedule(fn, { retry: atOnce })).id)
      expect(reasonsOf(next)).toEqual(["NotFound"])
      yield* agreed(scheduler, endpoint)
    }))

  it.scopedLive("F48: and that others have made, or this client found, is not waited for", () =>
    Effect.gen(function*() {
      const { endpoint, scheduler } = yield* setUp({}, { hello: inTurn(notFound), theirs: inTurn(notFound) })
      const theirs = yield* scheduler.schedule(LambdaFunction.existing("theirs"), { retry: atOnce })
      expect(reasonsOf(yield* ended(scheduler, theirs.id))).toEqual(["NotFound"])
      yield* scheduler.deploy(fn)
      const other = yield* launch(endpoint)
      const found = yield* other.schedule(fn, { retry: atOnce })
      expect(reasonsOf(yield* ended(other, found.id))).toEqual(["NotFound"])
      expect(endpoint.log.length).toBe(2)
    }))
})

describe("F52: a role that cannot be assumed yet", () => {
  it.scopedLive("F52: is given time, and the Task runs", () =>
    Effect.gen(function*() {
      const { endpoint, model, scheduler } = yield* setUp({ roleUsableFrom: 10 * second })
      const task = yield* ended(scheduler, (yield* scheduler.schedule(fn)).id)
      expect(task.status).toBe("Succeeded")
      expect(model.calls.filter((call) => call === "CreateFunction").length).toBeGreaterThan(1)
      expect(endpoint.log.length).toBe(1)
    }))

  it.scopedLive("F52: but a minute at the most; then the caller is told, and nothing is stored", () =>
    Effect.gen(function*() {
      const { endpoint, model, scheduler } = yield* setUp({ roleUsableFrom: Infinity })
      const error = yield* Effect.flip(scheduler.schedule(fn))
      expect(error).toMatchObject({ _tag: "DeploymentError", reason: "RoleNotAssumable" })
      expect(model.behaviour.now()).toBeGreaterThan(50 * second)
      expect(model.behaviour.now()).toBeLessThan(120 * second)
      expect((yield* scheduler.list()).items).toEqual([])
      expect(endpoint.log).toEqual([])
    }))

  it.scopedLive("F52: any other refusal of a parameter is told of at once", () =>
    Effect.gen(function*() {
      const { endpoint, scheduler } = yield* setUp({}, {}, (asked) =>
        isCreation(asked) ? failure(400, "InvalidParameterValueException", "Value out of range") : undefined)
      expect(yield* Effect.flip(scheduler.schedule(fn))).toMatchObject({ reason: "Rejected" })
      expect(endpoint.requests.filter(isCreation).length).toBe(1)
      expect((yield* scheduler.list()).items).toEqual([])
    }))
})

describe("F53: a creation that is refused", () => {
  it.scopedLive.each<[what: string, answer: Answer, reason: DeploymentErrorReason]>([
    ["it exists", failure(409, "ResourceConflictException", "Function already exist: hello"), "Conflict"],
    ["too large", failure(413, "RequestEntityTooLargeException", "Request must be smaller"), "CodeTooLarge"],
    [
      "too large when unpacked",
      failure(400, "InvalidParameterValueException", "Unzipped size must be smaller than 262144000 bytes"),
      "CodeTooLarge"
    ],
    ["storage is full", failure(400, "CodeStorageExceededException", "Code storage limit exceeded"), "StorageExceeded"]
  ])("F53: is told as what it is, and nothing is stored: %s", ([, answer, reason]) =>
    Effect.gen(function*() {
      const { endpoint, scheduler } = yield* setUp({}, {}, (asked) => isCreation(asked) ? answer : undefined)
      for (
        const ask of [scheduler.schedule(fn), scheduler.repeat(fn, { trigger: Trigger.fixed("1 minute") })] as const
      ) {
        expect(yield* Effect.flip(ask as Effect.Effect<unknown, unknown>)).toMatchObject({
          _tag: "DeploymentError",
          reason
        })
      }
      expect((yield* scheduler.list()).items).toEqual([])
      expect((yield* scheduler.listSchedules()).items).toEqual([])
      expect(endpoint.log).toEqual([])
    }))
})

describe("F54: a function that stays Pending", () => {
  it.scopedLive("F54: and then fails: the caller is told why, and no schedule is left behind", () =>
    Effect.gen(function*() {
      const { endpoint, scheduler } = yield* setUp({
        activation: 60 * second,
        creationFails: "The subnet has no address left"
      })
      const error = yield* Effect.flip(scheduler.repeat(fn, { trigger: Trigger.fixed("1 minute") }))
      expect(error).toMatchObject({ _tag: "DeploymentError", reason: "Failed" })
      expect(error.message).toContain("The subnet has no address left")
      expect([(yield* scheduler.list()).items, (yield* scheduler.listSchedules()).items]).toEqual([[], []])
      expect(endpoint.log).toEqual([])
    }))

  it.scopedLive("F54: for longer than a deployment may take", () =>
    Effect.gen(function*() {
      const { endpoint, model, scheduler } = yield* setUp({ activation: 300 * second, creationFails: "Too late" })
      const error = yield* Effect.flip(scheduler.repeat(fn, { trigger: Trigger.fixed("1 minute") }))
      expect(error).toMatchObject({ reason: "NeverActive", message: "Function hello never became active" })
      expect(model.behaviour.now()).toBeLessThan(300 * second)
      expect([(yield* scheduler.list()).items, (yield* scheduler.listSchedules()).items]).toEqual([[], []])
      expect(endpoint.log).toEqual([])
    }))
})
