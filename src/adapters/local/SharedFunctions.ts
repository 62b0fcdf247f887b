/**
 * Functions that live in a store: what runs here is what the store has, whichever process put it there. Warm calls pay
 * a look at the clock; once a second one of them asks the store whether its function is still the same.
 */
import { Clock, Deferred, Effect, FiberId, Option } from "effect"
import type { Scope } from "effect"
import { DeploymentError } from "../../domain/Deployment.ts"
import type { DeployedFunction } from "../../domain/Deployment.ts"
import { TaskRepositoryError } from "../../domain/Errors.ts"
import type { InvalidInput } from "../../domain/Errors.ts"
import { InvocationError } from "../../domain/Invocation.ts"
import { makeKeyedLock } from "../../domain/KeyedLock.ts"
import type { Millis } from "../../domain/Time.ts"
import type { FunctionPackage } from "../../packaging/FunctionPackage.ts"
import type { FunctionStore, FunctionVersion } from "../../ports/FunctionStore.ts"
import { monotonicMillis } from "./EnvironmentPool.ts"
import type { LocalRuntime } from "./LocalRuntime.ts"
import { samePackage } from "./LocalRuntime.ts"

/** Where functions come from and go to. */
export interface Functions {
  /**
   * Makes sure that what is installed here is what it is to be: what the store has, or had less than a second ago.
   *
   * @param timeout how long the caller waits for it
   */
  readonly refresh: (name: string, timeout: Millis) => Effect.Effect<void, InvocationError>
  readonly deploy: (
    functionPackage: FunctionPackage
  ) => Effect.Effect<DeployedFunction["change"], DeploymentError | InvalidInput>
  readonly remove: (name: string) => Effect.Effect<void, DeploymentError>
}

/** What is installed here, and when the store was last asked about it (monotonic milliseconds). */
interface Installed {
  readonly version: FunctionVersion
  readonly askedAt: Millis
}

type Answer = "same" | "other" | "no answer"

const askEvery: Millis = 1_000
/** A function that is installed does not wait longer to hear that it still may run. */
const versionWithin = "1 second"
/** How long installing may take, after which the next call tries anew. */
const installWithin = "30 seconds"

const isSame = (a: FunctionVersion, b: FunctionVersion): boolean =>
  a.revision === b.revision && a.codeSha256 === b.codeSha256

// What the store said stays in the log: it may hold more than those should see who see Tasks.

const unreachable = (name: string, cause?: unknown) =>
  new InvocationError({
    reason: "Unreachable",
    message: `Function ${name} could not be had from the store that keeps functions. Nothing was sent.`,
    cause
  })

const unusable = (name: string, error: TaskRepositoryError | InvalidInput) =>
  new InvocationError({
    reason: "Rejected",
    message: `Function ${name} is stored, but cannot be run: deploy it again. Nothing was sent.`,
    cause: error
  })

const toInvocationError = (name: string, error: TaskRepositoryError | InvalidInput): InvocationError =>
  error._tag === "InvalidInput" || error.reason === "Corrupt" ? unusable(name, error) : unreachable(name, error)

const tooSlow = new TaskRepositoryError({
  reason: "Unavailable",
  message: `The function store did not answer within ${versionWithin}`
})

const toDeploymentError = (functionName: string, error: TaskRepositoryError): DeploymentError =>
  new DeploymentError({
    reason: error.reason === "Unavailable" ? "Unreachable" : "ServiceError",
    functionName,
    message: `The store that keeps functions did not answer as it should for ${functionName}. Try again.`,
    cause: error
  })

const logStoreError = (name: string, error: unknown) =>
  Effect.logWarning("The function store failed", error).pipe(Effect.annotateLogs({ functionName: name }))

/** Makes the functions of one runtime those of the store. Closing the scope ends what is being installed. */
export const makeSharedFunctions = (
  store: FunctionStore["Type"],
  runtime: LocalRuntime
): Effect.Effect<Functions, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    /** One change of a function at a time: what is installed last is what was read or stored last. */
    const { withLock } = yield* makeKeyedLock
    const installed = new Map<string, Installed>()
    const refreshing = new Map<string, Deferred.Deferred<void, InvocationError>>()

    const install = (functionPackage: FunctionPackage, version: FunctionVersion, askedAt: Millis) =>
      Effect.flatMap(runtime.install(functionPackage), ({ active }) => active).pipe(
        Effect.tap(() => {
          installed.set(functionPackage.settings.name, { version, askedAt })
        })
      )

    const uninstall = (name: string) =>
      Effect.suspend(() => {
        installed.delete(name)
        return runtime.remove(name)
      })

    /** Whether the store still has what is installed here. */
    const ask = (name: string, present: Installed): Effect.Effect<Answer, TaskRepositoryError> =>
      store.versionOf(name).pipe(
        Effect.timeoutFail({ duration: versionWithin, onTimeout: () => tooSlow }),
        Effect.map(Option.exists((version) => isSame(version, present.version))),
        Effect.map((isCurrent): Answer => isCurrent ? "same" : "other"),
        Effect.catchIf(
          (error) => error.reason !== "Corrupt",
          (error) => Effect.as(logStoreError(name, error), "no answer" as const)
        )
      )

    const update = Effect.fnUntraced(function*(name: string) {
      const askedAt = yield* monotonicMillis
      const present = installed.get(name)
      if (present !== undefined) {
        const answer = yield* ask(name, present)
        if (answer === "same") return void installed.set(name, { ...present, askedAt })
        // Then what is here goes on; and the next to wait for an answer is a call a second from now, not the next one.
        if (answer === "no answer") return void installed.set(name, { ...present, askedAt: yield* monotonicMillis })
      }
      const stored = Option.getOrUndefined(yield* store.get(name))
      if (stored === undefined) return yield* uninstall(name)
      yield* install(stored, stored, askedAt)
    })

    /** In a fiber of its own: the caller that began it may be interrupted while others wait for it. */
    const refreshNow = (name: string, done: Deferred.Deferred<void, InvocationError>) =>
      update(name).pipe(
        withLock(name),
        Effect.tapError((error) => logStoreError(name, error)),
        Effect.mapError((error) => toInvocationError(name, error)),
        Effect.timeoutFail({ duration: installWithin, onTimeout: () => unreachable(name) }),
        Effect.interruptible,
        Effect.ensuring(Effect.sync(() => refreshing.delete(name))),
        Effect.intoDeferred(done),
        Effect.forkIn(scope)
      )

    const refreshed = (name: string): Effect.Effect<void, InvocationError> =>
      Effect.uninterruptibleMask((restore) => {
        const underWay = refreshing.get(name)
        if (underWay !== undefined) return restore(Deferred.await(underWay))
        const done = Deferred.unsafeMake<void, InvocationError>(FiberId.none)
        refreshing.set(name, done)
        return Effect.zipRight(refreshNow(name, done), restore(Deferred.await(done)))
      })

    return {
      refresh: (name, timeout) =>
        Effect.flatMap(Clock.currentTimeNanos, (nanos) => {
          const present = installed.get(name)
          return present !== undefined && Number(nanos) / 1e6 - present.askedAt < askEvery
            ? Effect.void
            : Effect.timeoutFail(refreshed(name), { duration: timeout, onTimeout: () => unreachable(name) })
        }),

      deploy: (functionPackage) => {
        const { name } = functionPackage.settings
        const failed = (error: TaskRepositoryError) =>
          Effect.zipRight(logStoreError(name, error), toDeploymentError(name, error))
        return Effect.gen(function*() {
          const askedAt = yield* monotonicMillis
          const present = installed.get(name)
          const here = runtime.find(name)?.functionPackage
          const isHere = present !== undefined && here !== undefined && samePackage(here, functionPackage)
          if (isHere && Option.exists(yield* store.versionOf(name), (version) => isSame(version, present.version))) {
            installed.set(name, { ...present, askedAt })
            return "unchanged" as const
          }
          const version = yield* store.put(functionPackage)
          if (isHere) installed.set(name, { version, askedAt })
          else yield* install(functionPackage, version, askedAt)
          return version.change
        }).pipe(
          withLock(name),
          Effect.catchTag("TaskRepositoryError", failed)
        )
      },

      remove: (name) =>
        Effect.zipRight(store.remove(name), uninstall(name)).pipe(
          withLock(name),
          Effect.catchTag(
            "TaskRepositoryError",
            (error) => Effect.zipRight(logStoreError(name, error), toDeploymentError(name, error))
          )
        )
    }
  })
