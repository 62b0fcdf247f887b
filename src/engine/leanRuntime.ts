/** Cheaper forks: a fiber is made for each run, and gets a copy of all of its runtime's references. */
import { Equal, FiberRef, FiberRefs, Runtime } from "effect"

/**
 * The same runtime without the references that have their default value, or are set for each fiber anyway (the context).
 *
 * @example
 * const runFork = Runtime.runFork(leanRuntime(yield* Effect.runtime()))
 */
export const leanRuntime = <R>(runtime: Runtime.Runtime<R>): Runtime.Runtime<R> => {
  const byDefault = FiberRefs.empty()
  const needed = [...runtime.fiberRefs.locals].filter(([ref, [[, value]]]) =>
    ref !== FiberRef.currentContext && !Equal.equals(value, FiberRefs.getOrDefault(byDefault, ref))
  )
  return Runtime.make({ ...runtime, fiberRefs: FiberRefs.unsafeMake(new Map(needed)) })
}
