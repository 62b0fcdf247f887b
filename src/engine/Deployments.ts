/** Deploys code before its first Task is stored, once per function value. */
import type { Context } from "effect"
import { Effect, Either } from "effect"
import type { DeployedFunction, DeploymentError } from "../domain/Deployment.ts"
import type { InvalidInput } from "../domain/Errors.ts"
import type { AnyCodeFunction, AnyLambdaFunction } from "../domain/LambdaFunction.ts"
import { existingTarget } from "../domain/LambdaFunction.ts"
import type { FunctionTarget } from "../domain/Task.ts"
import type { LambdaClient } from "../ports/LambdaClient.ts"

export interface Deployments {
  /** What the function is invoked as, if that needs no look at the target. */
  readonly known: (fn: AnyLambdaFunction) => FunctionTarget | undefined
  /** Deploys what is not known; calls for the same function value at the same time share one deployment. */
  readonly ensure: (fn: AnyLambdaFunction) => Effect.Effect<FunctionTarget, DeploymentError | InvalidInput>
  /** Checks with the target even if the function is known. */
  readonly deploy: (fn: AnyCodeFunction) => Effect.Effect<DeployedFunction, DeploymentError | InvalidInput>
}

/** How many deployed names are remembered; one that was forgotten costs a check, no more. */
const remembered = 10_000

export const makeDeployments = (client: Context.Tag.Service<LambdaClient>): Effect.Effect<Deployments> =>
  Effect.map(Effect.makeSemaphore(1), (registry) => {
    const targets = new WeakMap<AnyLambdaFunction, FunctionTarget>()
    /** Which code a name was last deployed with: another one of the same name replaces it. */
    const current = new Map<string, AnyCodeFunction>()
    const underWay = new Map<AnyCodeFunction, Effect.Effect<DeployedFunction, DeploymentError | InvalidInput>>()

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

    /** One deployment for all who ask while it runs; it goes on if one of them gives up. */
    const shared = (fn: AnyCodeFunction) =>
      registry.withPermits(1)(Effect.suspend(() => {
        const running = underWay.get(fn)
        if (running !== undefined) return Effect.succeed(running)
        const forget = Effect.sync(() => underWay.delete(fn))
        return Effect.cached(Effect.ensuring(deploy(fn), forget)).pipe(
          Effect.tap((once) => Effect.sync(() => underWay.set(fn, once)))
        )
      })).pipe(Effect.flatten)

    const ensure = (fn: AnyLambdaFunction): Effect.Effect<FunctionTarget, DeploymentError | InvalidInput> =>
      Effect.suspend(() => {
        const target = known(fn)
        if (target !== undefined) return Effect.succeed(target)
        if (fn._tag === "Code") return Effect.map(shared(fn), (deployed) => deployed.target)
        const checked = existingTarget(fn, client.region)
        if (Either.isRight(checked)) targets.set(fn, checked.right)
        return checked
      })

    return { known, ensure, deploy }
  })
