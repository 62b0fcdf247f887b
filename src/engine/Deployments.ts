/** Deploys code before its first Task is stored, once per function value. */
import type { Context, Scope } from "effect"
import { Effect, Either, Exit, Fiber, FiberMap, Option } from "effect"
import type { DeployedFunction, DeploymentError } from "../domain/Deployment.ts"
import type { InvalidInput } from "../domain/Errors.ts"
import { SchedulerClosed } from "../domain/Errors.ts"
import type { AnyCodeFunction, AnyLambdaFunction } from "../domain/LambdaFunction.ts"
import { existingTarget } from "../domain/LambdaFunction.ts"
import { defaultRuntime } from "../domain/LambdaRuntime.ts"
import type { FunctionTarget } from "../domain/Task.ts"
import type { LambdaClient } from "../ports/LambdaClient.ts"

export interface Deployments {
  /** What a function is invoked as that needs no look at the target any more. */
  readonly known: (fn: AnyLambdaFunction) => FunctionTarget | undefined
  /** What the function is invoked as. Deploys what is not known yet; calls for the same function value at the same time share one deployment. */
  readonly ensure: (
    fn: AnyLambdaFunction
  ) => Effect.Effect<FunctionTarget, DeploymentError | InvalidInput | SchedulerClosed>
  /** The runtime of the code that was last deployed under a name. */
  readonly runtimeOf: (functionName: string) => string | undefined
  /** Checks with the target even if the function is known. */
  readonly deploy: (fn: AnyCodeFunction) => Effect.Effect<DeployedFunction, DeploymentError | InvalidInput>
}

/** How many deployed names are remembered; one that was forgotten costs a check, no more. */
const remembered = 10_000

export const makeDeployments = (
  client: Context.Tag.Service<LambdaClient>
): Effect.Effect<Deployments, never, Scope.Scope> =>
  Effect.map(FiberMap.make<AnyCodeFunction, DeployedFunction, DeploymentError | InvalidInput>(), (underWay) => {
    const targets = new WeakMap<AnyLambdaFunction, FunctionTarget>()
    /** Which code a name was last deployed with: another one of the same name replaces it. */
    const current = new Map<string, AnyCodeFunction>()

    /** What needs no look at the target. */
    const known = (fn: AnyLambdaFunction): FunctionTarget | undefined =>
      fn._tag === "Existing" || current.get(fn.name) === fn ? targets.get(fn) : undefined

    const deploy = (fn: AnyCodeFunction) =>
      Effect.tap(client.deploy(fn), (deployed) =>
        Effect.sync(() => {
          targets.set(fn, deployed.target)
          current.delete(fn.name)
          current.set(fn.name, fn)
          const [oldest] = current.keys()
          if (current.size > remembered && oldest !== undefined) current.delete(oldest)
        }))

    const fiberOf = (fn: AnyCodeFunction) =>
      Effect.suspend(() => {
        const running = Option.getOrUndefined(FiberMap.unsafeGet(underWay, fn))
        return running === undefined ? FiberMap.run(underWay, fn, deploy(fn)) : Effect.succeed(running)
      })

    /** One deployment for all who ask while it runs, in a fiber of its own: it goes on if any of them gives up. */
    const shared = (fn: AnyCodeFunction) =>
      Effect.flatMap(
        Effect.flatMap(fiberOf(fn), Fiber.await),
        (exit): Effect.Effect<DeployedFunction, DeploymentError | InvalidInput | SchedulerClosed> =>
          Exit.isInterrupted(exit) ? new SchedulerClosed() : exit
      )

    const runtimeOf = (functionName: string): string | undefined => {
      const fn = current.get(functionName)
      return fn && (fn.options.runtime ?? defaultRuntime)
    }

    const ensure: Deployments["ensure"] = (fn) =>
      Effect.suspend((): ReturnType<Deployments["ensure"]> => {
        const target = known(fn)
        if (target !== undefined) return Effect.succeed(target)
        if (fn._tag === "Code") return Effect.map(shared(fn), (deployed) => deployed.target)
        const checked = existingTarget(fn, client.region)
        if (Either.isRight(checked)) targets.set(fn, checked.right)
        return checked
      })

    return { known, ensure, deploy, runtimeOf }
  })
