/** Overlaps and catching up as JSON: what a request may say, and how what is stored is said in the same words. */
import { Schema } from "effect"
import type { CatchUp } from "../domain/CatchUp.ts"
import { CatchUpPolicy, mostMadeUp, windowOf } from "../domain/CatchUp.ts"
import type { Overlap } from "../domain/Overlap.ts"
import { OverlapPolicy, placesToWait } from "../domain/Overlap.ts"
import { durationText } from "../domain/Time.ts"
import { described, Duration } from "./Contract.ts"

const overlapFields = {
  policy: OverlapPolicy,
  max: described(
    Schema.Int.pipe(Schema.between(1, 1_000)),
    "Of bufferAll: how many may wait, 1 to 1000. Default: 100"
  )
}
export const OverlapAnswer = Schema.Struct(overlapFields)
export type OverlapAnswer = typeof OverlapAnswer.Type

export const OverlapRequest = Schema.Union(OverlapAnswer, OverlapPolicy).annotations({
  identifier: "Overlap",
  description:
    "What becomes of an occurrence that is due while another one is under way. skip: it is recorded as skipped. " +
    "bufferOne, bufferAll: it waits for its turn, one or many; what finds no place to wait is skipped. cancelOther: what " +
    "is under way is cancelled, and it starts. allowAll: it starts beside the others",
  examples: ["skip", { policy: "bufferAll", max: 10 }]
})

/** What holds for one Task instead of its schedule's policy. */
export const TaskOverlapAnswer = Schema.Struct({
  ...overlapFields,
  running: described(Schema.Int, "Of a backfill: how many may be under way at once")
})
export type TaskOverlapAnswer = typeof TaskOverlapAnswer.Type

export const CatchUpAnswer = Schema.Struct({
  policy: CatchUpPolicy,
  max: described(
    Schema.Int.pipe(Schema.between(1, 10_000)),
    "Of all: how many are made up for, the latest ones, 1 to 10000. Default: 100"
  ),
  window: described(
    Duration,
    "By how much an occurrence may be late and still start. Default: of skip a minute, of the others without bound"
  )
})
export type CatchUpAnswer = typeof CatchUpAnswer.Type

export const CatchUpRequest = Schema.Union(CatchUpAnswer, CatchUpPolicy).annotations({
  identifier: "CatchUp",
  description:
    "What becomes of occurrences whose instants passed while nobody could start them. latest: the latest one " +
    "runs, for all that were missed. skip: the same, but only what is hardly late. all: each of them runs, one after the other",
  examples: ["latest", { policy: "all", max: 24, window: "1 day" }]
})

/** A policy with its bounds, said or not. */
export const overlapAnswer = (overlap: Overlap): OverlapAnswer =>
  overlap.policy === "bufferAll" ? { policy: overlap.policy, max: placesToWait(overlap) } : { policy: overlap.policy }

/** Those of a backfill have places already: there is no number of them. */
export const taskOverlapAnswer = (overlap: Overlap): TaskOverlapAnswer =>
  overlap.running === undefined ? overlapAnswer(overlap) : { policy: overlap.policy, running: overlap.running }

/** A policy with its bounds, said or not. */
export const catchUpAnswer = (catchUp: CatchUp): CatchUpAnswer => {
  const window = windowOf(catchUp)
  return {
    policy: catchUp.policy,
    ...(catchUp.policy === "all" ? { max: mostMadeUp(catchUp) } : {}),
    ...(window === Infinity ? {} : { window: durationText(window) })
  }
}
