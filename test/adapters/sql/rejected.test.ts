/** Data that the database refuses: its writer is told, and nobody who was in the same statement suffers for it. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option } from "effect"
import type { ScheduledTask } from "../../../src/domain/Task.ts"
import { TaskRepository } from "../../../src/ports/TaskRepository.ts"
import type { Repository } from "../../ports/contract/harness.ts"
import { allTasks, idsOf, insertedOne, mustGet, started } from "../../ports/contract/harness.ts"
import { anEnd, anInstanceId, aTarget, aTask, succeeded, t0 } from "../../support/builders.ts"
import { freshStore } from "./support.ts"

const test = (title: string, body: (repository: Repository) => Effect.Effect<void, unknown>) =>
  it.live(title, () => Effect.provide(Effect.flatMap(TaskRepository, body), freshStore))

const bad: Readonly<Record<string, Partial<Omit<ScheduledTask, "status">>>> = {
  "a NUL in its name": { name: "a\0b" },
  "a NUL in its payload": { payload: "\"\0\"" },
  "a NUL in a tag": { tags: { a: "\0" } },
  "half a character in a tag": { tags: { a: "\ud800" } },
  "an instant beyond 64 bits": { dueAt: 1e19 },
  "an instant that is none": { dueAt: NaN },
  "an instant of half a millisecond": { dueAt: t0 + 0.5 },
  "an id that is none": { id: "no id" as ScheduledTask["id"] },
  "a token beyond 32 bits": { token: 2 ** 40 }
}

describe("what the database refuses", () => {
  for (const keyed of [false, true]) {
    test(`200 store at once, ${keyed ? "with keys, " : ""}some of it impossible: the rest is stored`, (repository) =>
      Effect.gen(function*() {
        const tasks = Array.from({ length: 200 }, (_, index) => {
          const what = index % 20 === 7 ? Object.values(bad)[(index - 7) / 20] : undefined
          return { task: aTask(what), isBad: what !== undefined }
        })
        const exits = yield* Effect.forEach(
          tasks,
          ({ task }, index) =>
            Effect.exit(repository.insert([task], undefined, keyed ? [{ key: `k${index}`, digest: "d" }] : undefined)),
          { concurrency: "unbounded" }
        )
        for (const [index, exit] of exits.entries()) {
          const { isBad, task } = tasks[index] ?? expect.fail()
          if (!isBad) expect(exit).toEqual(Exit.succeed([{ _tag: "Inserted", task }]))
          else if (Exit.isSuccess(exit)) expect.fail(`stored ${JSON.stringify(task)}`)
          else {
            expect(Option.getOrThrow(Cause.failureOption(exit.cause)))
              .toMatchObject({ _tag: "TaskRepositoryError", reason: "Rejected" })
          }
        }
        const good = tasks.flatMap(({ isBad, task }) => isBad ? [] : [task])
        expect(idsOf(yield* allTasks(repository))).toEqual(idsOf(good.slice().reverse()))
        // A refused one has taken no key with it.
        if (keyed) {
          const again = aTask()
          const verdicts = yield* repository.insert([again], undefined, [{ key: "k7", digest: "other" }])
          expect(verdicts).toEqual([{ _tag: "Inserted", task: again }])
        }
      }))
  }

  test("a batch of one caller is stored whole or not at all", (repository) =>
    Effect.gen(function*() {
      const [first, last] = [aTask(), aTask()]
      const error = yield* Effect.flip(repository.insert([first, aTask({ name: "\0" }), last], undefined))
      expect(error.reason).toBe("Rejected")
      expect(yield* allTasks(repository)).toEqual([])
      expect(yield* repository.insert([first, last], undefined)).toHaveLength(2)
    }))

  test("one impossible outcome among 100 is refused, and the others are accepted", (repository) =>
    Effect.gen(function*() {
      const lease = yield* repository.openLease(anInstanceId(), 60_000)
      const running = yield* Effect.forEach(
        Array.from({ length: 100 }),
        () =>
          Effect.flatMap(
            insertedOne(repository, lease, aTask()),
            (task) => Effect.map(started(repository, lease, task), ({ task }) => task)
          ),
        { concurrency: "unbounded" }
      )
      for (const isShown of [true, false]) {
        const some = running.slice(isShown ? 0 : 50, isShown ? 50 : 100)
        const exits = yield* Effect.forEach(some, (task, index) => {
          const settlement = { ...succeeded(task), ...(isShown ? { running: task } : {}) }
          return Effect.exit(repository.settle(lease, [
            index === 20
              ? { ...settlement, to: { _tag: "Succeeded", result: { text: "\0", encoding: "utf8" } } }
              : settlement
          ]))
        }, { concurrency: "unbounded" })
        exits.forEach((exit, index) =>
          expect(exit).toMatchObject(
            index === 20
              ? { _tag: "Failure" }
              : { _tag: "Success", value: [{ _tag: "Accepted" }] }
          )
        )
        expect((yield* mustGet(repository, some[20]?.id ?? expect.fail())).status).toBe("Running")
      }
    }))

  test("whatever a function prints or throws, its outcome is stored", (repository) =>
    Effect.gen(function*() {
      const lease = yield* repository.openLease(anInstanceId(), 60_000)
      const strange = "a\0b\ud800c\u0001\u{1F600}\\\"{},NULL'$1\r\n"
      for (const isShown of [true, false]) {
        const { task } = yield* started(repository, lease, yield* insertedOne(repository, lease, aTask()))
        const [verdict] = yield* repository.settle(lease, [{
          id: task.id,
          token: task.token,
          end: anEnd("failed", t0, {
            logTail: strange,
            error: { reason: "FunctionError", message: strange, errorType: strange }
          }),
          to: { _tag: "Failed", failure: { reason: "FunctionError", message: strange } },
          successor: undefined,
          ...(isShown ? { running: task } : {})
        }])
        expect(verdict?._tag).toBe("Accepted")
        const ended = yield* mustGet(repository, task.id)
        expect(ended).toMatchObject({ status: "Failed", failure: { message: strange } })
        expect(ended.attempts[0]?.ended?.error).toEqual({
          reason: "FunctionError",
          message: strange,
          errorType: strange
        })
        // Only text of the database's own kind is kept to the letter.
        expect(ended.attempts[0]?.ended?.logTail).toBe(strange.replace("\0", "\ufffd").replace("\ud800", "\ufffd"))
      }
    }))

  test("nothing is found, and nothing cancelled, by what cannot be there", (repository) =>
    Effect.gen(function*() {
      const lease = yield* repository.openLease(anInstanceId(), 60_000)
      // What a lone surrogate becomes on its way.
      yield* repository.insert(
        [aTask({ name: "\ufffd", function: aTarget("\ufffd"), tags: { "\ufffd": "\ufffd" } })],
        undefined
      )
      for (const name of ["\0", "a\0b", "\ud800"]) {
        for (const filter of [{ name }, { functionName: name }, { tags: { [name]: "x" } }, { tags: { x: name } }]) {
          expect((yield* repository.list(filter, { limit: 10 })).items).toEqual([])
          expect((yield* repository.listSchedules(filter, { limit: 10 })).items).toEqual([])
        }
        for (const _tag of ["Named", "Function"] as const) {
          expect(yield* repository.cancel(lease, { _tag, name }, t0)).toMatchObject({ tasks: [], schedules: [] })
        }
      }
    }))
})
