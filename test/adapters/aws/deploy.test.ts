import { describe, expect, it } from "@effect/vitest"
import { Clock, Effect, Either, Exit, Fiber, Logger, Option, Redacted, TestClock } from "effect"
import { createHash } from "node:crypto"
import { defaultOwnerTag } from "../../../src/adapters/aws/AwsLambdaConfig.ts"
import type { DeployerOptions } from "../../../src/adapters/aws/deploy.ts"
import { makeDeployer } from "../../../src/adapters/aws/deploy.ts"
import type { DeploymentError } from "../../../src/domain/Deployment.ts"
import { inline, settings } from "../../../src/domain/LambdaFunction.ts"
import type { CodeOptions } from "../../../src/domain/LambdaFunction.ts"
import type { FunctionPackage } from "../../../src/packaging/FunctionPackage.ts"
import { makeModel } from "./support/LambdaModel.ts"
import type { ModelBehaviour } from "./support/LambdaModel.ts"
import { controlPlaneOf } from "./support/modelFaces.ts"

const role = "arn:aws:iam::123456789012:role/jobs"

const pkg = (options: CodeOptions = {}, code = "one", name = "hello"): FunctionPackage => {
  const zip = Buffer.from(code)
  return {
    settings: Either.getOrThrow(settings(inline(name, "", options))),
    zip,
    codeSha256: createHash("sha256").update(zip).digest("base64")
  }
}

/** A deployer over a model of AWS that lives by the test's clock. */
const setUp = (behaviour: Partial<ModelBehaviour> = {}, options: Partial<DeployerOptions> = {}) =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const model = makeModel({ now: () => clock.unsafeCurrentTimeMillis(), ...behaviour })
    const deployer = yield* makeDeployer(controlPlaneOf(model), { role, ownerTag: defaultOwnerTag, ...options })
    return { model, ...deployer }
  })

/** How long it took by the test's clock, which is moved on as far as needed. */
const timed = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const started = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.fork(
      Effect.zip(Effect.exit(effect), Clock.currentTimeMillis)
    )
    for (let step = 0; step < 400; step++) {
      if (Option.isSome(yield* Fiber.poll(fiber))) break
      yield* TestClock.adjust("1 second")
    }
    const [exit, ended] = yield* Fiber.join(fiber)
    return { exit, millis: ended - started }
  })

const errorOf = <A>(exit: Exit.Exit<A, DeploymentError>) =>
  exit.pipe(
    Exit.match({ onFailure: (cause) => cause, onSuccess: () => undefined }),
    (cause) => cause?._tag === "Fail" ? { reason: cause.error.reason, message: cause.error.message } : cause
  )

describe("deploy", () => {
  it.effect("creates what is not there, with our tag, and waits until it is Active", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({ activation: 10_000 })
      const spec = pkg({ tags: { team: "payroll" }, timeout: "10 seconds", environment: { ENV_A: Redacted.make("b") } })
      const { exit, millis } = yield* timed(deploy(spec))
      expect(exit).toEqual(Exit.succeed({
        target: { name: "hello", arn: undefined, qualifier: undefined, timeout: 10_000 },
        codeSha256: spec.codeSha256,
        change: "created"
      }))
      expect(millis).toBeGreaterThanOrEqual(10_000)
      expect(millis).toBeLessThan(15_001)
      const created = model.functions.get("hello")
      expect(created?.tags).toEqual({ team: "payroll", "effect-lambda-scheduler:owner": "effect-lambda-scheduler" })
      expect(created?.configuration).toMatchObject({
        State: "Active",
        Runtime: "nodejs24.x",
        Handler: "index.handler",
        Role: role,
        Timeout: 10,
        MemorySize: 128,
        Environment: { Variables: { ENV_A: "b" } },
        Architectures: ["x86_64"]
      })
      // With back-off: not one look per 200 ms.
      expect(model.calls.filter((call) => call === "GetFunctionConfiguration").length).toBeLessThan(12)
    }))

  it.effect("of what is as it should be costs the check and no more", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp()
      const spec = pkg({ environment: { ENV_A: "b" }, description: "d", tags: { team: "payroll" } })
      yield* timed(deploy(spec))
      model.calls.length = 0
      const { exit } = yield* timed(deploy(spec))
      expect(exit).toMatchObject({ value: { change: "unchanged" } })
      expect(model.calls).toEqual(["GetFunctionConfiguration", "ListTags"])
    }))

  it.effect.each<[what: string, options: CodeOptions, code: string, calls: ReadonlyArray<string>]>([
    ["code", {}, "two", ["UpdateFunctionCode"]],
    ["architecture", { architecture: "arm64" }, "one", ["UpdateFunctionCode"]],
    ["memory", { memory: 256 }, "one", ["UpdateFunctionConfiguration"]],
    ["timeout", { timeout: "9 seconds" }, "one", ["UpdateFunctionConfiguration"]],
    ["handler", { handler: "index.other" }, "one", ["UpdateFunctionConfiguration"]],
    ["runtime", { runtime: "nodejs22.x" }, "one", ["UpdateFunctionConfiguration"]],
    ["role", { role: `${role}2` }, "one", ["UpdateFunctionConfiguration"]],
    ["description", { description: "new" }, "one", ["UpdateFunctionConfiguration"]],
    ["environment", { environment: { ENV_A: "b" } }, "one", ["UpdateFunctionConfiguration"]],
    ["tags", { tags: { team: "payroll" } }, "one", ["TagResource"]],
    ["code and settings", { memory: 256 }, "two", ["UpdateFunctionCode", "UpdateFunctionConfiguration"]]
  ])("changes what differs, one call after the other: %s", ([, options, code, expected]) =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({ update: 3_000 })
      yield* timed(deploy(pkg()))
      model.calls.length = 0
      // The model refuses an update while another is in progress.
      const { exit } = yield* timed(deploy(pkg(options, code)))
      expect(exit).toMatchObject({ value: { change: "updated" } })
      const changes = model.calls.filter((call) => call !== "GetFunctionConfiguration" && call !== "ListTags")
      expect(changes).toEqual(expected)
      expect(model.functions.get("hello")?.configuration.LastUpdateStatus).toBe("Successful")
      expect((yield* timed(deploy(pkg(options, code)))).exit).toMatchObject({ value: { change: "unchanged" } })
    }))

  it.effect("an environment that lost its last variable is emptied", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp()
      yield* timed(deploy(pkg({ environment: { ENV_A: "b" } })))
      yield* timed(deploy(pkg()))
      expect(model.functions.get("hello")?.configuration.Environment?.Variables).toEqual({})
    }))

  it.effect("never touches a function that is not ours", () =>
    Effect.gen(function*() {
      const { deploy, model, remove } = yield* setUp()
      const foreign = {
        FunctionName: "hello",
        Code: { ZipFile: Buffer.from("theirs") },
        Role: role,
        Tags: { team: "x" }
      }
      model.createFunction(foreign)
      model.getFunctionConfiguration("hello")
      const before = structuredClone(model.functions.get("hello"))
      model.calls.length = 0
      for (const attempt of [deploy(pkg()), remove("hello")]) {
        const { exit } = yield* timed(Effect.asVoid(attempt))
        expect(errorOf(exit)).toMatchObject({ reason: "NotOwned" })
      }
      expect(model.functions.get("hello")).toEqual(before)
      expect(before?.configuration.CodeSha256).toBe(createHash("sha256").update("theirs").digest("base64"))
      expect(new Set(model.calls)).toEqual(new Set(["GetFunctionConfiguration", "ListTags"]))
    }))

  it.effect("a tag of another owner is not ours either", () =>
    Effect.gen(function*() {
      const theirs = yield* setUp({}, { ownerTag: { key: "owner", value: "team-b" } })
      yield* timed(theirs.deploy(pkg()))
      const ours = yield* makeDeployer(controlPlaneOf(theirs.model), {
        role,
        ownerTag: { key: "owner", value: "team-a" }
      })
      expect(errorOf((yield* timed(ours.deploy(pkg()))).exit)).toMatchObject({ reason: "NotOwned" })
    }))

  it.effect("a foreign function that takes the name between the look and the change is not changed", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp()
      yield* timed(deploy(pkg()))
      let swapped = false
      model.behaviour.before = (operation) => {
        if (operation !== "UpdateFunctionCode" || swapped) return
        swapped = true
        model.deleteFunction("hello")
        model.createFunction({ FunctionName: "hello", Code: { ZipFile: Buffer.from("theirs") }, Role: role, Tags: {} })
      }
      const { exit } = yield* timed(deploy(pkg({}, "two")))
      expect(errorOf(exit)).toMatchObject({ reason: "NotOwned" })
      expect(model.functions.get("hello")?.configuration.CodeSha256).toBe(
        createHash("sha256").update("theirs").digest("base64")
      )
    }))

  it.effect("recognises a failed creation at once, with its reason, and next time makes it anew", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({ activation: 2_000, creationFails: "The zip is broken" })
      const { exit, millis } = yield* timed(deploy(pkg()))
      expect(errorOf(exit)).toEqual({
        reason: "Failed",
        message: "Function hello: its creation failed: The zip is broken (InternalError)"
      })
      expect(millis).toBeLessThan(5_000)
      model.behaviour.creationFails = undefined
      model.calls.length = 0
      expect((yield* timed(deploy(pkg()))).exit).toMatchObject({ value: { change: "created" } })
      expect(model.calls.slice(0, 4)).toEqual([
        "GetFunctionConfiguration",
        "ListTags",
        "DeleteFunction",
        "CreateFunction"
      ])
    }))

  it.effect("recognises a failed update at once, and next time makes it again", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({ update: 1_000 })
      yield* timed(deploy(pkg()))
      model.behaviour.updateFails = "Out of luck"
      expect(errorOf((yield* timed(deploy(pkg({}, "two")))).exit)).toEqual({
        reason: "Failed",
        message: "Function hello: its update failed: Out of luck"
      })
      model.behaviour.updateFails = undefined
      model.calls.length = 0
      expect((yield* timed(deploy(pkg({}, "two")))).exit).toMatchObject({ value: { change: "updated" } })
      expect(model.calls).toContain("UpdateFunctionCode")
    }))

  it.effect("a function that stays Pending: its own words, after 180 seconds", () =>
    Effect.gen(function*() {
      const { deploy } = yield* setUp({ activation: Infinity })
      const { exit, millis } = yield* timed(deploy(pkg()))
      expect(errorOf(exit)).toEqual({ reason: "NeverActive", message: "Function hello never became active" })
      expect(millis).toBe(180_000)
    }))

  it.effect("a new role is given time to propagate", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({ roleUsableFrom: 40_000 })
      const { exit, millis } = yield* timed(deploy(pkg()))
      expect(exit).toMatchObject({ value: { change: "created" } })
      expect(millis).toBeGreaterThanOrEqual(40_000)
      expect(millis).toBeLessThan(46_000)
      expect(model.calls.filter((call) => call === "CreateFunction").length).toBeLessThan(16)
    }))

  it.effect("but no more than 60 seconds", () =>
    Effect.gen(function*() {
      const { deploy } = yield* setUp({ roleUsableFrom: Infinity })
      const { exit, millis } = yield* timed(deploy(pkg()))
      expect(errorOf(exit)).toMatchObject({ reason: "RoleNotAssumable" })
      expect(millis).toBeGreaterThanOrEqual(55_000)
      expect(millis).toBeLessThanOrEqual(66_000)
    }))

  it.effect("any other refusal is not repeated", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({
        before: (operation) => {
          if (operation !== "CreateFunction") return
          model.calls.push("refused")
          throw Object.assign(new Error("Value out of range"), {
            name: "InvalidParameterValueException",
            $metadata: { httpStatusCode: 400 }
          })
        }
      })
      const { exit, millis } = yield* timed(deploy(pkg()))
      expect(errorOf(exit)).toMatchObject({ reason: "Rejected" })
      expect(model.calls.filter((call) => call === "refused").length).toBe(1)
      expect(millis).toBe(0)
    }))

  it.effect("no role, no call: its own words", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({}, { role: undefined })
      expect(errorOf((yield* timed(deploy(pkg()))).exit)).toEqual({
        reason: "RoleMissing",
        message: "AWS_LAMBDA_ROLE_ARN not set"
      })
      expect(model.calls).toEqual([])
      expect((yield* timed(deploy(pkg({ role })))).exit).toMatchObject({ value: { change: "created" } })
    }))

  it.effect("somebody else's deployment of the same function at the same time is waited for", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({ activation: 5_000 })
      const other = yield* makeDeployer(controlPlaneOf(model), { role, ownerTag: defaultOwnerTag })
      const { exit } = yield* timed(Effect.all([deploy(pkg()), other.deploy(pkg())], { concurrency: "unbounded" }))
      expect(exit).toMatchObject({ value: [{ change: "created" }, { change: "unchanged" }] })
    }))

  it.effect("an update that collides with another looks again", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({ update: 2_000 })
      yield* timed(deploy(pkg()))
      let collided = false
      model.behaviour.before = (operation) => {
        if (operation !== "UpdateFunctionCode" || collided) return
        collided = true
        model.updateFunctionConfiguration({ FunctionName: "hello", MemorySize: 512 })
      }
      expect((yield* timed(deploy(pkg({}, "two")))).exit).toMatchObject({ value: { change: "updated" } })
      expect(model.functions.get("hello")?.configuration).toMatchObject({
        MemorySize: 128,
        CodeSha256: pkg({}, "two").codeSha256
      })
    }))

  it.effect("in one process: one after the other for one function, side by side for two", () =>
    Effect.gen(function*() {
      const { deploy, model } = yield* setUp({ activation: 10_000, update: 10_000, latency: 100 })
      yield* timed(deploy(pkg({}, "zero")))
      let overlapped = false
      model.behaviour.before = (operation, name) => {
        const isChange = operation === "CreateFunction" || operation === "UpdateFunctionCode"
        if (isChange && model.functions.get(name)?.pending !== undefined) overlapped = true
      }
      const { exit, millis } = yield* timed(
        Effect.all([deploy(pkg({}, "one")), deploy(pkg({}, "two")), deploy(pkg({}, "one", "other"))], {
          concurrency: "unbounded"
        })
      )
      expect(exit).toMatchObject({ value: [{ change: "updated" }, { change: "updated" }, { change: "created" }] })
      expect(overlapped).toBe(false)
      expect(millis).toBeLessThan(30_000)
      expect(model.functions.get("hello")?.configuration.CodeSha256).toBe(pkg({}, "two").codeSha256)
    }))

  it.effect("warns of a runtime near its end", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2027, 4, 2))
      const { deploy } = yield* setUp()
      const lines: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => {
        lines.push([logLevel.label, String(message)])
      })
      yield* timed(
        deploy(pkg({ runtime: "nodejs22.x" })).pipe(
          Effect.provide(Logger.replace(Logger.defaultLogger, logger))
        )
      )
      expect(lines).toEqual([["WARN", expect.stringContaining("nodejs22.x is deprecated since 2027-04-30")]])
    }))
})

describe("remove", () => {
  it.effect("removes what is ours; what is not there is removed already", () =>
    Effect.gen(function*() {
      const { deploy, model, remove } = yield* setUp()
      yield* timed(deploy(pkg()))
      expect((yield* timed(remove("hello"))).exit).toEqual(Exit.void)
      expect(model.functions.size).toBe(0)
      expect((yield* timed(remove("hello"))).exit).toEqual(Exit.void)
    }))

  it.effect("counts as done when somebody else was faster", () =>
    Effect.gen(function*() {
      const { deploy, model, remove } = yield* setUp()
      yield* timed(deploy(pkg()))
      model.behaviour.before = (operation) => {
        if (operation === "DeleteFunction") model.functions.delete("hello")
      }
      expect((yield* timed(remove("hello"))).exit).toEqual(Exit.void)
    }))
})
