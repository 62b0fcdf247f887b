/** Parts of AWS may not know yet of a function that was created a moment ago: then "not found" means "not yet". */
import { Clock, Effect } from "effect"
import { InvocationError } from "../../domain/Invocation.ts"
import type { FunctionTarget } from "../../domain/Task.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"

/** For so long after its creation a function counts as new. */
const newFor: Millis = 300_000

/** For so long after the first invocation that did not find it, a new function is waited for. */
const patience: Millis = 60_000

/** When to look again. */
const retryAfter: Millis = 20_000

/** A function that this client has created, and when an invocation first did not find it. */
export interface Creation {
  readonly createdAt: EpochMillis
  readonly missedAt: EpochMillis | undefined
}

const isNew = ({ createdAt }: Creation, now: EpochMillis): boolean => now - createdAt < newFor

/**
 * Whether a function that was not found is waited for.
 *
 * @example
 * isAwaited({ createdAt: 0, missedAt: undefined }, 1_000) // true
 */
export const isAwaited = (creation: Creation, now: EpochMillis): boolean =>
  isNew(creation, now) && now - (creation.missedAt ?? now) < patience

export interface JustCreated {
  /** This client has created it. */
  readonly note: (functionName: string) => Effect.Effect<void>
  /** It has been removed: that it is not found is right. */
  readonly forget: (functionName: string) => Effect.Effect<void>
  /** What a failed invocation comes to: `NotFound` becomes `NotReady` while the function is waited for. */
  readonly judge: (target: FunctionTarget, error: InvocationError) => Effect.Effect<InvocationError>
}

export const makeJustCreated = (): JustCreated => {
  const creations = new Map<string, Creation>()
  return {
    note: (functionName) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        for (const [name, creation] of creations) if (!isNew(creation, now)) creations.delete(name)
        creations.set(functionName, { createdAt: now, missedAt: undefined })
      }),
    forget: (functionName) => Effect.sync(() => void creations.delete(functionName)),
    judge: (target, error) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const creation = creations.get(target.name)
        // Of another account, or a version or alias: none of these has been created here.
        if (error.reason !== "NotFound" || target.arn !== undefined || target.qualifier !== undefined) return error
        if (creation === undefined || !isAwaited(creation, now)) return error
        creations.set(target.name, { ...creation, missedAt: creation.missedAt ?? now })
        return new InvocationError({
          reason: "NotReady",
          message: `${error.message} (it was created a moment ago)`,
          retryAfter,
          ...(error.requestId !== undefined && { requestId: error.requestId })
        })
      })
  }
}
