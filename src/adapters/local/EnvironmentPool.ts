/** The environments of all functions: started when needed, used again while warm, ended when idle for long. */
import { DateTime, Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { randomBytes } from "node:crypto"
import type { FunctionSettings } from "../../domain/LambdaFunction.ts"
import type { Millis } from "../../domain/Time.ts"
import { monotonic } from "../../domain/Time.ts"
import type { Started } from "./Call.ts"
import { awaitReady } from "./Call.ts"
import { Child } from "./Child.ts"
import { launchPlan } from "./Isolation.ts"
import type { LocalSettings } from "./LocalSettings.ts"
import type { Workspace } from "./Workspace.ts"

/** One version of a function's code and settings, unpacked. */
export interface Deployment {
  readonly settings: FunctionSettings
  readonly arn: string
  readonly taskRoot: string
}

/** One child process and what it belongs to. */
export interface Environment {
  readonly child: Child
  readonly deployment: Deployment
  readonly tmp: string
  readonly started: Started
  readonly initDuration: Millis
  /** Whether it has had a call before. */
  isWarm: boolean
  /** Monotonic milliseconds. */
  idleSince: Millis
}

export interface EnvironmentPool {
  /** Keeps a deployment's code until `letGo`, though it may be retired meanwhile. */
  readonly hold: (deployment: Deployment) => void
  readonly letGo: (deployment: Deployment) => Effect.Effect<void>
  /** An idle environment, or a new one. It is the caller's until `release` or `end`. */
  readonly acquire: (deployment: Deployment) => Effect.Effect<Environment>
  /** Gives an environment back that can take another call. */
  readonly release: (environment: Environment) => Effect.Effect<void>
  /** Kills an environment at once, with all it started. */
  readonly end: (environment: Pick<Environment, "child" | "deployment" | "tmp">) => Effect.Effect<void>
  /** Takes a deployment out of use. Running calls finish; its code is removed after the last. */
  readonly retire: (deployment: Deployment) => Effect.Effect<void>
}

/** No process survives SIGKILL for longer, unless it hangs in the kernel. */
const endWithin = "5 seconds"
const longestReapInterval: Millis = 30_000

export const monotonicMillis = Effect.clockWith((clock) => Effect.sync(() => monotonic(clock)))

/** Makes a pool. Closing the scope ends every process. */
export const makeEnvironmentPool = (
  local: LocalSettings,
  workspace: Workspace
): Effect.Effect<EnvironmentPool, never, Scope.Scope> =>
  Effect.gen(function*() {
    /** How many calls and processes hold each deployment; a retired one stays until none does. */
    const held = new Map<Deployment, number>()
    const retired = new Set<Deployment>()
    const live = new Set<Child>()
    const ending = new Set<Child>()
    /** The longest idle first. */
    let idle: ReadonlyArray<Environment> = []

    const scope = yield* Effect.acquireRelease(
      Effect.scope,
      () =>
        Effect.forEach([...live, ...ending], (child) => {
          child.kill()
          return Effect.timeoutOption(child.awaitExit, endWithin)
        }, { concurrency: "unbounded", discard: true })
    )
    const killAll = () => live.forEach((child) => child.kill())
    yield* Effect.acquireRelease(
      Effect.sync(() => process.once("exit", killAll)),
      () => Effect.sync(() => process.removeListener("exit", killAll))
    )

    const removeUnused = (deployment: Deployment) =>
      Effect.suspend(() =>
        !held.has(deployment) && retired.delete(deployment) ? workspace.remove(deployment.taskRoot) : Effect.void
      )

    const hold = (deployment: Deployment) => {
      held.set(deployment, (held.get(deployment) ?? 0) + 1)
    }
    const letGo = (deployment: Deployment) =>
      Effect.suspend(() => {
        const left = (held.get(deployment) ?? 1) - 1
        if (left > 0) held.set(deployment, left)
        else held.delete(deployment)
        return removeUnused(deployment)
      })

    const end: EnvironmentPool["end"] = ({ child, deployment, tmp }) =>
      Effect.suspend(() => {
        if (!live.delete(child)) return Effect.void
        ending.add(child)
        child.kill()
        // The caller has its answer; tidying up is nobody's wait.
        return child.awaitExit.pipe(
          Effect.timeoutOption(endWithin),
          Effect.zipRight(Effect.sync(() => ending.delete(child))),
          Effect.zipRight(workspace.remove(tmp)),
          Effect.zipRight(letGo(deployment)),
          Effect.forkIn(scope),
          Effect.asVoid
        )
      })

    const endIdle = (isDue: (environment: Environment, index: number) => boolean) =>
      Effect.suspend(() => {
        const due = idle.filter(isDue)
        idle = idle.filter((environment) => !due.includes(environment))
        return Effect.forEach(due, end, { discard: true })
      })

    const create = Effect.fnUntraced(function*(deployment: Deployment) {
      const id = randomBytes(16).toString("hex")
      const today = DateTime.formatIsoDateUtc(yield* DateTime.now).replaceAll("-", "/")
      const tmp = yield* workspace.makeTmp(id)
      const child = new Child(launchPlan({
        id,
        logStream: `${today}/[$LATEST]${id}`,
        bootstrap: workspace.bootstrap,
        taskRoot: deployment.taskRoot,
        tmp,
        settings: deployment.settings,
        local,
        launcher: workspace.launcher,
        user: workspace.user
      }))
      live.add(child)
      hold(deployment)
      return { child, deployment, tmp }
    })

    /** Processes that are about to be: making room takes a while, and others count meanwhile. */
    let starting = 0
    /** Room for one more: idle ones of other functions make way, the longest idle first. */
    const makeRoom = Effect.suspend(() => {
      const isFull = live.size + starting >= local.concurrency
      starting++
      return isFull ? endIdle((_, index) => index === 0) : Effect.void
    })
    const started = Effect.sync(() => {
      starting--
    })

    const start = (deployment: Deployment): Effect.Effect<Environment> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          yield* makeRoom
          const from = yield* monotonicMillis
          const created = yield* Effect.ensuring(create(deployment), started)
          const ready = yield* restore(awaitReady(created.child, local.initTimeout)).pipe(
            Effect.onInterrupt(() => end(created))
          )
          const initDuration = (yield* monotonicMillis) - from
          return { ...created, started: ready, initDuration, isWarm: false, idleSince: 0 }
        })
      )

    yield* monotonicMillis.pipe(
      Effect.flatMap((now) => endIdle(({ idleSince }) => now - idleSince >= local.idleTimeout)),
      Effect.repeat(Schedule.spaced(Math.min(longestReapInterval, local.idleTimeout))),
      Effect.forkIn(scope)
    )

    return {
      hold,
      letGo,
      end,
      acquire: (deployment) =>
        Effect.suspend(() => {
          const warm = idle.findLast((candidate) => candidate.deployment === deployment)
          if (warm === undefined) return start(deployment)
          idle = idle.filter((candidate) => candidate !== warm)
          return Effect.succeed(warm)
        }),
      release: (environment) =>
        Effect.flatMap(monotonicMillis, (now) => {
          if (!environment.child.isAlive || retired.has(environment.deployment)) return end(environment)
          environment.isWarm = true
          environment.idleSince = now
          idle = [...idle, environment]
          return Effect.void
        }),
      retire: (deployment) =>
        Effect.suspend(() => {
          retired.add(deployment)
          return endIdle((environment) => environment.deployment === deployment)
        }).pipe(Effect.zipRight(removeUnused(deployment)))
    }
  })
