/** Lambda on this machine: functions by name, and their invocation. `LambdaClient` and the REST face both stand on it. */
import { DateTime, Effect, Fiber, Redacted } from "effect"
import type { Scope } from "effect"
import { randomUUID } from "node:crypto"
import type { InvalidInput } from "../../domain/Errors.ts"
import { InvocationError } from "../../domain/Invocation.ts"
import { maxPayloadBytes } from "../../domain/Json.ts"
import type { FunctionSettings } from "../../domain/LambdaFunction.ts"
import { lambdaRuntimes } from "../../domain/LambdaRuntime.ts"
import type { FunctionPackage } from "../../packaging/FunctionPackage.ts"
import type { Deployment } from "./EnvironmentPool.ts"
import { makeEnvironmentPool } from "./EnvironmentPool.ts"
import { invokeDeployment } from "./Invoker.ts"
import { nodeMajor } from "./Isolation.ts"
import type { LocalSettings } from "./LocalSettings.ts"
import type { Outcome } from "./Outcome.ts"
import { makeWorkspace } from "./Workspace.ts"

/** A function as it is now. */
export interface LocalFunction {
  readonly functionPackage: FunctionPackage
  readonly arn: string
  readonly revisionId: string
  /** ISO 8601. */
  readonly lastModified: string
  readonly state: "Pending" | "Active"
  readonly lastUpdateStatus: "Successful" | "InProgress"
  /** What calls run. */
  readonly deployment: Deployment
  /** What they will run once the change under way is through. */
  readonly next: Deployment | undefined
}

export interface LocalInvocation {
  readonly name: string
  readonly qualifier: string | undefined
  readonly type: "RequestResponse" | "Event" | "DryRun"
  readonly payload: Buffer
  /** JSON text. */
  readonly clientContext: string | undefined
  /** Runs right before the call is handed to the function; its failure hands nothing over. */
  readonly beforeSend: Effect.Effect<void, InvocationError>
}

export interface LocalRuntime {
  readonly arnOf: (name: string) => string
  readonly find: (name: string) => LocalFunction | undefined
  readonly list: () => ReadonlyArray<LocalFunction>
  /**
   * Creates the function, or updates it; answers once its code is unpacked. It is then Pending (or, updated,
   * InProgress) for `pendingFor`; `active` waits for that.
   */
  readonly install: (
    functionPackage: FunctionPackage
  ) => Effect.Effect<{ readonly installed: LocalFunction; readonly active: Effect.Effect<void> }, InvalidInput>
  /** Replaces tags: no change of code or settings. */
  readonly retag: (name: string, tags: Readonly<Record<string, string>>) => void
  readonly remove: (name: string) => Effect.Effect<void>
  readonly invoke: (invocation: LocalInvocation) => Effect.Effect<Outcome, InvocationError>
}

/** AWS's limit for an asynchronous payload (1 MB). */
const maxEventBytes = 1024 * 1024

const tooLarge = (invocation: LocalInvocation): InvocationError | undefined => {
  const bytes = invocation.payload.byteLength
  if (bytes > maxPayloadBytes) {
    return new InvocationError({
      reason: "PayloadTooLarge",
      message: `Request must be smaller than ${maxPayloadBytes} bytes for the InvokeFunction operation`
    })
  }
  return invocation.type === "Event" && bytes > maxEventBytes
    ? new InvocationError({
      reason: "PayloadTooLarge",
      message: `${bytes} byte payload is too large for the Event invocation type (limit ${maxEventBytes} bytes)`
    })
    : undefined
}

const empty: Omit<Outcome, "requestId"> = { body: Buffer.alloc(0), functionError: undefined, timedOut: false, log: "" }

/** Whether two functions are the same: code and settings, secrets included. */
export const samePackage = (a: FunctionPackage, b: FunctionPackage): boolean =>
  a.codeSha256 === b.codeSha256 && shape(a.settings) === shape(b.settings)

const sorted = (record: Readonly<Record<string, unknown>>) =>
  Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))

const shape = (settings: FunctionSettings): string => {
  const environment = Object.entries(settings.environment).map(([name, value]) =>
    [name, typeof value === "string" ? value : Redacted.value(value)] as const
  )
  return JSON.stringify(sorted({
    ...settings,
    environment: sorted(Object.fromEntries(environment)),
    tags: sorted(settings.tags)
  }))
}

/** Makes a runtime of its own. Closing the scope ends its processes and removes its files. */
export const makeLocalRuntime = (local: LocalSettings): Effect.Effect<LocalRuntime, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const workspace = yield* makeWorkspace
    const pool = yield* makeEnvironmentPool(local, workspace)
    const slots = yield* Effect.makeSemaphore(local.concurrency)
    const oneAtATime = yield* Effect.makeSemaphore(1)
    const functions = new Map<string, LocalFunction>()
    const told = new Set<string>()
    let deployments = 0

    const arnOf = (name: string) => `arn:aws:lambda:${local.region}:${local.accountId}:function:${name}`

    const sayRuntime = ({ name, runtime }: FunctionSettings) =>
      Effect.suspend(() => {
        const declared = lambdaRuntimes.find((known) => known.name === runtime)?.node
        if (declared === nodeMajor || told.has(name)) return Effect.void
        told.add(name)
        return Effect.logInfo(
          `Function ${name} declares ${runtime}; on this machine it runs on Node ${process.versions.node}.`
        )
      })

    const activate = Effect.fnUntraced(function*(name: string, next: Deployment) {
      if (local.pendingFor > 0) yield* Effect.sleep(local.pendingFor)
      const present = functions.get(name)
      // Removed, or changed again, meanwhile.
      if (present?.next !== next) return yield* pool.retire(next)
      functions.set(name, {
        ...present,
        deployment: next,
        next: undefined,
        state: "Active",
        lastUpdateStatus: "Successful"
      })
      if (present.deployment !== next) yield* pool.retire(present.deployment)
    })

    const install = Effect.fnUntraced(function*(functionPackage: FunctionPackage) {
      const { settings, zip } = functionPackage
      const { name } = settings
      yield* sayRuntime(settings)
      deployments += 1
      const taskRoot = yield* workspace.unpack(`${deployments}`, zip)
      const deployment: Deployment = { settings, arn: arnOf(name), taskRoot }
      const previous = functions.get(name)
      const installed: LocalFunction = {
        functionPackage,
        arn: deployment.arn,
        revisionId: randomUUID(),
        lastModified: DateTime.formatIso(yield* DateTime.now).replace("Z", "+0000"),
        state: previous?.state ?? "Pending",
        lastUpdateStatus: previous === undefined ? "Successful" : "InProgress",
        // Until the update is through, calls run the code that was there.
        deployment: previous?.deployment ?? deployment,
        next: deployment
      }
      functions.set(name, installed)
      const activation = yield* Effect.forkIn(activate(name, deployment), scope)
      return { installed, active: Fiber.join(activation) }
    }, oneAtATime.withPermits(1))

    const runnable = (invocation: LocalInvocation): LocalFunction | InvocationError => {
      const { name, qualifier } = invocation
      const found = functions.get(name)
      if (found === undefined || (qualifier !== undefined && qualifier !== "$LATEST")) {
        const arn = `${arnOf(name)}${qualifier === undefined ? "" : `:${qualifier}`}`
        return new InvocationError({ reason: "NotFound", message: `Function not found: ${arn}` })
      }
      if (found.state === "Pending") {
        return new InvocationError({
          reason: "NotReady",
          message:
            "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        })
      }
      return tooLarge(invocation) ?? found
    }
    const checkRunnable = (invocation: LocalInvocation): Effect.Effect<void, InvocationError> =>
      Effect.suspend(() => {
        const found = runnable(invocation)
        return found instanceof InvocationError ? found : Effect.void
      })
    /** The deployment to run, kept until it is let go. Both in one step: an update may come any time. */
    const holdRunnable = (invocation: LocalInvocation): Effect.Effect<Deployment, InvocationError> =>
      Effect.suspend(() => {
        const found = runnable(invocation)
        if (found instanceof InvocationError) return found
        pool.hold(found.deployment)
        return Effect.succeed(found.deployment)
      })

    return {
      arnOf,
      install,
      find: (name) => functions.get(name),
      list: () => [...functions.values()],
      retag: (name, tags) => {
        const found = functions.get(name)
        if (found === undefined) return
        const { functionPackage } = found
        functions.set(name, {
          ...found,
          functionPackage: { ...functionPackage, settings: { ...functionPackage.settings, tags } }
        })
      },
      remove: (name) =>
        Effect.suspend(() => {
          const found = functions.get(name)
          functions.delete(name)
          return found === undefined ? Effect.void : pool.retire(found.deployment)
        }),
      invoke: Effect.fnUntraced(function*(invocation) {
        const requestId = randomUUID()
        yield* checkRunnable(invocation)
        if (invocation.type === "DryRun") return { ...empty, requestId }
        const run = (beforeSend: LocalInvocation["beforeSend"]) =>
          slots.withPermits(1)(Effect.acquireUseRelease(
            holdRunnable(invocation),
            (deployment) => invokeDeployment(pool, deployment, { ...invocation, beforeSend, requestId }),
            pool.letGo
          ))
        if (invocation.type === "RequestResponse") return yield* run(invocation.beforeSend)
        yield* invocation.beforeSend
        yield* run(Effect.void).pipe(
          Effect.catchAllCause((cause) =>
            Effect.logWarning(`Event invocation of ${invocation.name} did not run`, cause)
          ),
          Effect.forkIn(scope)
        )
        return { ...empty, requestId }
      })
    }
  })
