/** What waits in memory for its start is kept small: a long payload stays in the database until the start mark. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import { anInstanceId, aTask, t0 } from "../../support/builders.ts"
import { freshStore } from "./support.ts"

const json = (bytes: number, character = "x") =>
  JSON.stringify(character.repeat((bytes - 2) / Buffer.byteLength(character)))

describe("payloads over 4 KB", () => {
  it.live("are left out of a claim, by their bytes, unless the claim starts the Task", () =>
    Effect.gen(function*() {
      const repository = yield* TaskRepository
      const lease = yield* repository.openLease(anInstanceId(), 60_000)
      const payloads = [json(4_096), json(4_097), json(4_096, "é"), json(4_098, "é"), json(1_000_000)]
      yield* repository.insert(payloads.map((payload) => aTask({ payload })), undefined)
      yield* repository.insert(payloads.map((payload) => aTask({ payload, dueAt: t0 + 1 })), undefined)
      const { tasks } = yield* repository.claimDue({
        lease,
        now: t0,
        ahead: 1,
        limit: 10,
        start: 5,
        excludeFunctions: []
      })
      const left = payloads.map((payload) => Buffer.byteLength(payload) > 4_096 ? undefined : payload)
      expect(tasks.map(({ payload, status }) => [status, payload])).toEqual([
        ...payloads.map((payload) => ["Running", payload]),
        ...left.map((payload) => ["Scheduled", payload])
      ])
    }).pipe(Effect.provide(freshStore)))
})
