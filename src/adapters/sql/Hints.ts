/**
 * LISTEN and NOTIFY: shorter waits, and nothing more. It is tried out at the start and again and again, because a
 * listening connection can die, or a pooler swallow it, without a sign; without it everything is found by polling.
 */
import type { PgClient } from "@effect/sql-pg/PgClient"
import type { Scope } from "effect"
import { Deferred, Effect, Option, PubSub, Queue, Schema, Stream } from "effect"
import { TaskId } from "../../domain/Ids.ts"
import type { EpochMillis, Millis } from "../../domain/Time.ts"
import type { Hint } from "../../ports/TaskRepository.ts"
import type { Run } from "./Db.ts"

export interface Hints {
  readonly stream: Stream.Stream<Hint>
  /** Whether hints get through, in words. */
  readonly state: () => string
  readonly isOn: () => boolean
  readonly work: (claimableAt: EpochMillis) => void
  readonly cancelled: (ids: ReadonlyArray<TaskId>) => void
  readonly changed: () => void
  /** The same in the caller's transaction, delivered with its commit. */
  readonly workIn: (run: Run, claimableAt: EpochMillis) => Effect.Effect<unknown, unknown>
}

const Message = Schema.Struct({
  /** Who sends: one's own hints are passed over. */
  boot: Schema.String,
  work: Schema.optional(Schema.Number),
  cancelled: Schema.optional(Schema.Array(TaskId)),
  changed: Schema.optional(Schema.Literal(true)),
  probe: Schema.optional(Schema.Number)
})
type Message = typeof Message.Type

// Whoever may connect may send to any channel.
const decodeMessage = Schema.decodeUnknownOption(Schema.parseJson(Message))

/** Hints that come close together go as one. */
const gatherFor: Millis = 20
/** Milliseconds between two probes while they get through, how long each waits, and until the next try after that. */
const defaultTiming = { probeEvery: 15_000, probeWithin: 2_000, tryAgain: 30_000 }
/** A notification holds 8,000 bytes. */
const mostIds = 190

const notify = (run: Run, channel: string, message: Message) =>
  run("SELECT pg_notify($1, $2)", [channel, JSON.stringify(message)])

export const makeHints = (
  client: PgClient,
  run: Run,
  channel: string,
  boot: string,
  others: () => number,
  onChanged: () => void,
  { probeEvery, probeWithin, tryAgain }: typeof defaultTiming = defaultTiming
): Effect.Effect<Hints, never, Scope.Scope> =>
  Effect.gen(function*() {
    const published = yield* PubSub.sliding<Hint>(1_024)
    const wake = yield* Queue.sliding<void>(1)
    let state = "not tried yet"
    let isOn = false
    let probes = 0
    let awaited: { readonly probe: number; readonly seen: Deferred.Deferred<void> } | undefined

    let workAt: EpochMillis = Infinity
    const cancelledIds: Array<TaskId> = []
    let hasChanged = false

    // Sending

    const send = Effect.suspend(() => {
      const message: Message = {
        boot,
        ...(workAt === Infinity ? {} : { work: workAt }),
        ...(cancelledIds.length === 0 ? {} : { cancelled: cancelledIds.splice(0, mostIds) }),
        ...(hasChanged ? { changed: true as const } : {})
      }
      workAt = Infinity
      hasChanged = false
      const isEmpty = message.work === undefined && message.cancelled === undefined && message.changed === undefined
      // Nobody else is there to be told.
      return isEmpty || others() === 0 ? Effect.void : Effect.ignoreLogged(notify(run, channel, message))
    })
    yield* Queue.take(wake).pipe(
      Effect.zipRight(Effect.sleep(gatherFor)),
      Effect.zipRight(Effect.repeat(send, { while: () => cancelledIds.length > 0 })),
      Effect.forever,
      Effect.forkScoped
    )

    // Receiving

    const receive = (payload: string) =>
      Effect.suspend((): Effect.Effect<unknown> => {
        const decoded = decodeMessage(payload)
        if (Option.isNone(decoded)) return Effect.logDebug("A notification makes no sense")
        const message = decoded.value
        if (message.probe !== undefined && message.boot === boot) {
          return awaited?.probe === message.probe ? Deferred.succeed(awaited.seen, undefined) : Effect.void
        }
        if (message.boot === boot) return Effect.void
        if (message.changed === true) onChanged()
        const hints: Array<Hint> = []
        if (message.work !== undefined) hints.push({ _tag: "Work", claimableAt: message.work })
        if (message.cancelled !== undefined) hints.push({ _tag: "Cancelled", ids: message.cancelled })
        return PubSub.publishAll(published, hints)
      })

    const probe = (within: Millis) =>
      Effect.gen(function*() {
        const mine = { probe: ++probes, seen: yield* Deferred.make<void>() }
        awaited = mine
        yield* notify(run, channel, { boot, probe: mine.probe })
        const seen = yield* Effect.timeoutOption(Deferred.await(mine.seen), within)
        return Option.isSome(seen)
      })

    const probing = Effect.gen(function*() {
      // What is sent before the connection listens is lost: mostly a moment is enough.
      let works = false
      for (const within of [probeWithin / 20, probeWithin / 4, probeWithin]) works ||= yield* probe(within)
      while (works) {
        if (!isOn) yield* Effect.logDebug("LISTEN and NOTIFY work")
        isOn = true
        state = "works"
        yield* Effect.sleep(probeEvery)
        works = yield* probe(probeWithin)
      }
    })

    const listening = Effect.raceFirst(
      Effect.zipRight(Stream.runForEach(client.listen(channel), receive), Effect.void),
      probing
    ).pipe(
      Effect.catchAllCause(() => Effect.void),
      Effect.zipRight(Effect.suspend(() => {
        const was = isOn
        isOn = false
        state = "does not get through; polling"
        return was
          ? Effect.logInfo("Notifications of the database no longer get through; polling until they do")
          // What has worked is tried again at once.
          : Effect.sleep(tryAgain)
      })),
      // A dead connection may not even be closed in time.
      Effect.disconnect
    )
    yield* listening.pipe(
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )

    const offer = () => Queue.unsafeOffer(wake, undefined)

    return {
      stream: Stream.fromPubSub(published),
      state: () => state,
      isOn: () => isOn,
      work: (claimableAt) => {
        workAt = Math.min(workAt, claimableAt)
        offer()
      },
      cancelled: (ids) => {
        cancelledIds.push(...ids)
        offer()
      },
      changed: () => {
        hasChanged = true
        offer()
      },
      workIn: (inner, claimableAt) => notify(inner, channel, { boot: "", work: claimableAt, changed: true })
    }
  })
