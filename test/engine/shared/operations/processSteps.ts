/** Time, the processes that come and go in it, and the pauses of functions. */
import { Clock, Effect } from "effect"
import type { CommandOf } from "./commands.ts"
import { minute, second } from "./commands.ts"
import { endPause, eraOf, pauseAt, startPause } from "./model.ts"
import { same } from "./seen.ts"
import type { Steps, Telling } from "./Telling.ts"
import { defined, heartbeat, nameOf } from "./Telling.ts"

/** Until then a lost lease has been found out, and another one opened. */
const toFindOut = 10 * second

const makeAdvance = (telling: Telling) => ({ millis }: CommandOf<"advance">) =>
  Effect.suspend(() => {
    const { busiest, model, seen } = telling
    const rate = model.schedules
      .filter((schedule) => telling.isActive(schedule) && pauseAt(schedule, seen.now) === undefined)
      .map((schedule) => {
        const { rule } = eraOf(schedule)
        return 1 / (rule._tag === "Grid" ? rule.period : rule.interval)
      })
      .reduce((sum, each) => sum + each, 0)
    return Effect.sleep(Math.ceil(Math.min(millis, busiest / rate)))
  })

const makeRestart = (telling: Telling) =>
  Effect.fnUntraced(function*({ away }: Pick<CommandOf<"restart">, "away">) {
    const { log, note } = telling
    note(log.isAnyLive ? "restarted while something ran" : "restarted")
    yield* telling.instance.stop
    log.by++
    yield* Effect.sleep(away)
    yield* telling.replace
    yield* Effect.sleep(1)
  })

const loseLease = Effect.fnUntraced(function*(telling: Telling, how: CommandOf<"loseLease">["how"]) {
  const { instance, log, model, note, seen, stage, startedAt } = telling
  const now = yield* Clock.currentTimeMillis
  const isWaiting = [...seen.tasks.values()].some(({ attempts, dueAt, status }) =>
    status === "Scheduled" && attempts.length === 0 && dueAt <= now
  )
  if (isWaiting) note("a lease was lost while something waited")
  if (log.isAnyLive) note("a lease was lost while something ran")
  note(`a lease was lost: ${how}`)
  if (how === "dead") {
    log.by++
    yield* instance.die
    yield* telling.replace
    model.unsettledUntil = now + toFindOut
    return
  }
  // A while before the heartbeat that finds it out: until then nothing is to be had.
  const found = startedAt + Math.ceil((now + 2 - startedAt) / heartbeat) * heartbeat
  yield* Effect.sleep(Math.max(0, found - 20 * second - now))
  log.by++
  yield* stage.execute((schema) => `UPDATE "${schema}".instances SET expires_at = clock_timestamp()`)
  model.unsettledUntil = found + toFindOut
})

const makePauseFunction = (telling: Telling) =>
  Effect.fnUntraced(function*({ again, fn, lasts }: CommandOf<"pauseFunction">) {
    const { model: { functionPauses }, scheduler: { pauses } } = telling
    const now = yield* Clock.currentTimeMillis
    const name = nameOf(fn)
    const until = lasts === undefined ? undefined : now + lasts
    const pausing = pauses.set(fn === undefined ? undefined : name, defined({ until }))
    const answer = yield* pausing
    const spans = functionPauses.get(name) ?? []
    functionPauses.set(name, spans)
    startPause(spans, now, until ?? Infinity)
    if (again) same(yield* pausing, answer, () => "I11: paused twice")
    same((yield* pauses.get)[name], answer, () => "paused")
  })

const makeLift = (telling: Telling) =>
  Effect.fnUntraced(function*({ again, fn }: CommandOf<"lift">) {
    const { model: { functionPauses }, note, scheduler: { pauses } } = telling
    const now = yield* Clock.currentTimeMillis
    const name = nameOf(fn)
    const lifting = pauses.lift(fn === undefined ? undefined : name)
    yield* lifting
    if (endPause(functionPauses.get(name) ?? [], now)) note("lifted")
    if (again) yield* lifting
    same((yield* pauses.get)[name], undefined, () => "lifted")
  })

export const processSteps = (
  telling: Telling
): Steps<"advance" | "restart" | "loseLease" | "pauseFunction" | "lift"> => {
  const restart = makeRestart(telling)
  return {
    advance: makeAdvance(telling),
    restart,
    loseLease: ({ how }) =>
      telling.losesLeases ? loseLease(telling, how) : restart({ away: how === "dead" ? 0 : minute }),
    pauseFunction: makePauseFunction(telling),
    lift: makeLift(telling)
  }
}
