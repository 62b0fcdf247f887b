/** Brings a function to what its package says, and removes it: only if it is ours, one change at a time. */
import type { FunctionConfiguration } from "@aws-sdk/client-lambda"
import { Clock, Effect, Redacted, Schedule } from "effect"
import { DeploymentError } from "../../domain/Deployment.ts"
import type { DeployedFunction } from "../../domain/Deployment.ts"
import { makeKeyedLock } from "../../domain/KeyedLock.ts"
import type { FunctionSettings } from "../../domain/LambdaFunction.ts"
import { runtimeWarning } from "../../domain/LambdaRuntime.ts"
import type { Millis } from "../../domain/Time.ts"
import type { FunctionPackage } from "../../packaging/FunctionPackage.ts"
import type { OwnerTag } from "./AwsLambdaConfig.ts"
import type { ControlPlane } from "./ControlPlane.ts"
import { neverActive, roleMissing, secretsOf } from "./messages.ts"

/** How long a deployment may take as a whole. */
const deployDeadline: Millis = 180_000

/** How long a new role is given until Lambda may assume it. */
const rolePatience: Millis = 60_000

const firstPoll: Millis = 200
const longestPoll: Millis = 5_000

export interface Deployer {
  readonly deploy: (pkg: FunctionPackage) => Effect.Effect<DeployedFunction, DeploymentError>
  readonly remove: (name: string) => Effect.Effect<void, DeploymentError>
}

export interface DeployerOptions {
  /** The role of functions that name none. */
  readonly role: string | undefined
  readonly ownerTag: OwnerTag
}

/** An Inactive function counts: the next invocation wakes it. */
const isSettled = ({ LastUpdateStatus, State }: FunctionConfiguration): boolean =>
  State === "Failed" ||
  ((State === undefined || State === "Active" || State === "Inactive") && LastUpdateStatus !== "InProgress")

const isNotFound = (error: DeploymentError): boolean => error.reason === "NotFound"

const variablesOf = (settings: FunctionSettings): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(settings.environment).map(([name, value]) => [
      name,
      typeof value === "string" ? value : String(Redacted.value(value))
    ])
  )

const sameRecord = (a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean => {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && a[name] === b[name])
}

/** The settings as both `CreateFunction` and `UpdateFunctionConfiguration` take them. */
const configurationOf = (settings: FunctionSettings, role: string) => ({
  FunctionName: settings.name,
  Runtime: settings.runtime as "nodejs24.x",
  Handler: settings.handler,
  Role: role,
  MemorySize: settings.memory,
  Timeout: settings.timeout / 1_000,
  Description: settings.description ?? "",
  Environment: { Variables: variablesOf(settings) }
})

const differs = (
  current: FunctionConfiguration,
  wanted: ReturnType<typeof configurationOf>
): boolean =>
  current.Runtime !== wanted.Runtime || current.Handler !== wanted.Handler || current.Role !== wanted.Role ||
  current.MemorySize !== wanted.MemorySize || current.Timeout !== wanted.Timeout ||
  (current.Description ?? "") !== wanted.Description ||
  !sameRecord(current.Environment?.Variables ?? {}, wanted.Environment.Variables)

const codeDiffers = (current: FunctionConfiguration, { codeSha256, settings }: FunctionPackage): boolean =>
  current.CodeSha256 !== codeSha256 || (current.Architectures?.[0] ?? "x86_64") !== settings.architecture

// A function that somebody changes, or removes, while we do: look again.
const whenRaced = Schedule.exponential("500 millis").pipe(Schedule.intersect(Schedule.recurs(6)))

const whileRolePropagates = Schedule.exponential("1 second", 1.5).pipe(
  Schedule.union(Schedule.spaced("5 seconds")),
  Schedule.upTo(rolePatience)
)

const retryRole = <A>(effect: Effect.Effect<A, DeploymentError>): Effect.Effect<A, DeploymentError> =>
  Effect.retry(effect, { schedule: whileRolePropagates, while: (error) => error.reason === "RoleNotAssumable" })

const retryRaced = <A>(effect: Effect.Effect<A, DeploymentError>): Effect.Effect<A, DeploymentError> =>
  Effect.retry(effect, {
    schedule: whenRaced,
    while: (error) => error.reason === "Conflict" || error.reason === "NotFound"
  })

/** Deploys over a control plane; changes of one function are made one after the other. */
export const makeDeployer = Effect.fnUntraced(function*(control: ControlPlane, options: DeployerOptions) {
  const { ownerTag } = options
  const lock = yield* makeKeyedLock

  const find = (name: string): Effect.Effect<FunctionConfiguration | undefined, DeploymentError> =>
    control.configuration(name).pipe(Effect.catchIf(isNotFound, () => Effect.void as Effect.Effect<undefined>))

  /** The tags of a function that is ours; `NotOwned` for any other. */
  const ownedTags = Effect.fnUntraced(function*(name: string, current: FunctionConfiguration) {
    const tags = yield* control.tags(name, current.FunctionArn ?? name)
    if (tags[ownerTag.key] === ownerTag.value) return tags
    return yield* new DeploymentError({
      reason: "NotOwned",
      functionName: name,
      message:
        `Function ${name} exists and does not carry the tag ${ownerTag.key}=${ownerTag.value}: it is left as it is`
    })
  })

  const settle = (
    name: string,
    current: FunctionConfiguration,
    wait: Millis = firstPoll
  ): Effect.Effect<FunctionConfiguration, DeploymentError> =>
    isSettled(current)
      ? Effect.succeed(current)
      : control.configuration(name).pipe(
        Effect.delay(wait),
        Effect.flatMap((next) => settle(name, next, Math.min(wait * 1.5, longestPoll)))
      )

  /** Waits for a change to be done, and fails if it failed. */
  const done = (name: string) =>
  (
    current: FunctionConfiguration
  ): Effect.Effect<FunctionConfiguration, DeploymentError> =>
    Effect.flatMap(settle(name, current), (settled) => {
      const failed = (what: string, reason: string | undefined, code: string | undefined) =>
        new DeploymentError({
          reason: "Failed",
          functionName: name,
          message: `Function ${name}: ${what} failed: ${reason ?? "no reason given"}${
            code === undefined ? "" : ` (${code})`
          }`
        })
      if (settled.State === "Failed") return failed("its creation", settled.StateReason, settled.StateReasonCode)
      return settled.LastUpdateStatus === "Failed"
        ? failed("its update", settled.LastUpdateStatusReason, settled.LastUpdateStatusReasonCode)
        : Effect.succeed(settled)
    })

  const create = (pkg: FunctionPackage, wanted: ReturnType<typeof configurationOf>) =>
    control.create({
      ...wanted,
      Code: { ZipFile: pkg.zip },
      PackageType: "Zip",
      Architectures: [pkg.settings.architecture],
      Tags: { ...pkg.settings.tags, [ownerTag.key]: ownerTag.value }
    }, secretsOf(pkg.settings.environment)).pipe(
      retryRole,
      Effect.flatMap(done(pkg.settings.name)),
      Effect.as("created" as const)
    )

  const bring = Effect.fnUntraced(function*(pkg: FunctionPackage, role: string) {
    const { settings } = pkg
    const { name } = settings
    const wanted = configurationOf(settings, role)
    const found = yield* find(name)
    if (found === undefined) return yield* create(pkg, wanted)
    const tags = yield* ownedTags(name, found)
    let current = yield* settle(name, found)
    if (current.State === "Failed") {
      // Lambda takes no update of a function whose creation failed.
      yield* control.remove(name)
      return yield* create(pkg, wanted)
    }
    // After a failed update nobody can say what of it is in force.
    const uncertain = current.LastUpdateStatus === "Failed"
    // RevisionId: what was looked at is what is changed, or the call is refused.
    const guard = () => current.RevisionId === undefined ? {} : { RevisionId: current.RevisionId }
    const newCode = uncertain || codeDiffers(current, pkg)
    if (newCode) {
      current = yield* control.updateCode({
        FunctionName: name,
        ZipFile: pkg.zip,
        Architectures: [settings.architecture],
        ...guard()
      }).pipe(Effect.flatMap(done(name)))
    }
    const newSettings = uncertain || differs(current, wanted)
    if (newSettings) {
      yield* control.updateConfiguration({ ...wanted, ...guard() }, secretsOf(settings.environment)).pipe(
        retryRole,
        Effect.flatMap(done(name))
      )
    }
    // Only ours are set: others put tags on functions too, for costs and the like.
    const newTags = Object.entries(settings.tags).some(([key, value]) => key !== ownerTag.key && tags[key] !== value)
    if (newTags) {
      yield* control.tag(name, current.FunctionArn ?? name, { ...settings.tags, [ownerTag.key]: ownerTag.value })
    }
    return newCode || newSettings || newTags ? "updated" as const : "unchanged" as const
  })

  const deploy: Deployer["deploy"] = Effect.fn("AwsLambdaClient.deploy")(function*(pkg) {
    const { settings } = pkg
    const { name } = settings
    const role = settings.role ?? options.role
    if (role === undefined) {
      return yield* new DeploymentError({ reason: "RoleMissing", functionName: name, message: roleMissing })
    }
    const warning = runtimeWarning(settings.runtime, yield* Clock.currentTimeMillis)
    if (warning !== undefined) yield* Effect.logWarning(warning)
    const change = yield* bring(pkg, role).pipe(
      retryRaced,
      lock.withLock(name),
      Effect.timeoutFail({
        duration: deployDeadline,
        onTimeout: () => new DeploymentError({ reason: "NeverActive", functionName: name, message: neverActive(name) })
      })
    )
    return {
      target: { name, arn: undefined, qualifier: undefined, timeout: settings.timeout },
      codeSha256: pkg.codeSha256,
      change
    }
  })

  const remove: Deployer["remove"] = Effect.fn("AwsLambdaClient.remove")((name) =>
    find(name).pipe(
      Effect.flatMap((current) =>
        current === undefined
          ? Effect.void
          : Effect.zipRight(ownedTags(name, current), control.remove(name))
      ),
      retryRaced,
      lock.withLock(name)
    )
  )

  return { deploy, remove } satisfies Deployer
})
