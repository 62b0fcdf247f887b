/** What is asked for by hand: runs, backfills, and that they end. */
import { Clock, Effect, Either } from "effect"
import { TaskId } from "../../../../src/domain/Ids.ts"
import type { BackfillId } from "../../../../src/index.ts"
import { payloadOf } from "./checkCalls.ts"
import type { CommandOf } from "./commands.ts"
import { hour } from "./commands.ts"
import { inOrder } from "./history.ts"
import { eraOf, instantsIn, isLive, nameOfPolicy } from "./model.ts"
import { same } from "./seen.ts"
import type { Steps, Telling } from "./Telling.ts"
import { defined, pick } from "./Telling.ts"

const makeRunNow = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"runNow">) {
    const { model, note } = telling
    const schedule = telling.pickSchedule(command.which)
    const number = model.manual.size
    const id = TaskId.make(yield* telling.newId)
    const payload = command.payload ? { schedule: schedule.number, byHand: number } : payloadOf(schedule)
    const options = defined({ id, overlap: command.overlap, payload: command.payload ? payload : undefined })
    const running = Effect.either(telling.scheduler.runNow(schedule.id, options))
    const answer = yield* running
    yield* telling.answered(command, answer, telling.refusalOf(schedule))
    if (Either.isLeft(answer)) return
    same(answer.right.id, id, () => "run by hand")
    model.manual.set(id, { id, number, schedule, payload })
    if (command.overlap !== undefined) {
      schedule.policies.add(nameOfPolicy(command.overlap))
      note("by hand: in its own way")
    }
    if (!command.again) return
    const repeated = yield* Effect.flatten(running)
    same([repeated.id, repeated.createdAt], [id, answer.right.createdAt], () => "I25: run by hand twice")
  })

const makeCancelTask = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"cancelTask">) {
    const { model, note, seen } = telling
    const now = yield* Clock.currentTimeMillis
    const tasks = inOrder(model, seen.tasks.values()).filter((task) => isLive(task) !== command.finished)
    const task = pick(tasks, command.which)
    if (task === undefined) return
    const cancelling = Effect.either(telling.scheduler.cancel(task.id))
    const answer = yield* cancelling
    yield* telling.answered(command, answer, isLive(task) || task.status === "Cancelled" ? undefined : "TaskFinished")
    if (Either.isLeft(answer)) return
    if (isLive(task)) {
      model.cancelled.set(task.id, now)
      const when = task.status === "Running"
        ? "while it ran"
        : task.dueAt > now
        ? "before it was due"
        : "while it waited"
      note(`cancelled ${when}`)
    }
    if (command.again) same(yield* Effect.flatten(cancelling), answer.right, () => "I11: cancelled twice")
  })

const makeBackfill = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"backfill">) {
    const { model, note } = telling
    const schedule = telling.pickSchedule(command.which)
    const now = yield* Clock.currentTimeMillis
    const { rule } = eraOf(schedule)
    const period = rule._tag === "Grid" ? rule.period : hour
    const to = Math.floor(now - command.endsBack * period)
    const from = Math.floor(to - command.spans * period)
    const id = (yield* telling.newId) as BackfillId
    const options = defined({ id, from, to, concurrency: command.concurrency, overlap: command.overlap })
    const starting = Effect.either(telling.scheduler.backfills.start(schedule.id, options))
    const answer = yield* starting
    const isInvalid = rule._tag === "Spaced" || (command.overlap === "allowAll" && command.concurrency !== undefined)
    const refused = schedule.ended?.removed === true
      ? "TaskScheduleNotFound"
      : isInvalid
      ? "InvalidInput"
      : telling.refusalOf(schedule)
    yield* telling.answered(command, answer, refused)
    if (Either.isLeft(answer) || rule._tag === "Spaced") return
    const instants = instantsIn(rule, from, to)
    model.backfills.push({
      id,
      number: model.backfills.length,
      schedule,
      instants,
      concurrency: command.overlap === "allowAll" ? Infinity : command.concurrency ?? 1,
      payload: payloadOf(schedule),
      cancelledAt: undefined
    })
    same([answer.right.id, answer.right.total], [id, instants.length], () => "a backfill")
    if (instants.length > 1) note("a backfill of several")
    if (!command.again) return
    const repeated = yield* Effect.flatten(starting)
    same([repeated.id, repeated.total], [id, instants.length], () => "I25: a backfill")
  })

const makeCancelBackfill = (telling: Telling) =>
  Effect.fnUntraced(function*(command: CommandOf<"cancelBackfill">) {
    const { model, note, seen } = telling
    const now = yield* Clock.currentTimeMillis
    const backfill = pick(model.backfills, command.which)
    if (backfill === undefined) return
    const cancelling = Effect.either(telling.scheduler.backfills.cancel(backfill.id))
    const answer = yield* cancelling
    const isRemoved = backfill.schedule.ended?.removed === true
    yield* telling.answered(command, answer, isRemoved ? "BackfillNotFound" : undefined)
    if (Either.isLeft(answer)) return
    for (const task of seen.tasks.values()) {
      if (task.origin !== `backfill:${backfill.id}` || !isLive(task)) continue
      model.cancelled.set(task.id, now)
      note("a backfill was cancelled under way")
    }
    backfill.cancelledAt ??= now
    same(answer.right.cancelledAt, backfill.cancelledAt, () => "cancelled since")
    if (command.again) same(yield* Effect.flatten(cancelling), answer.right, () => "I11: cancelled twice")
  })

export const taskSteps = (telling: Telling): Steps<"runNow" | "cancelTask" | "backfill" | "cancelBackfill"> => ({
  runNow: makeRunNow(telling),
  cancelTask: makeCancelTask(telling),
  backfill: makeBackfill(telling),
  cancelBackfill: makeCancelBackfill(telling)
})
