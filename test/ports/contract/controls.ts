import { expect } from "@effect/vitest"
import { Effect } from "effect"
import type { ScheduledTask } from "../../../src/domain/Task.ts"
import { encodeCap, ofAll } from "../../../src/policies/caps.ts"
import type { Lease } from "../../../src/ports/TaskRepository.ts"
import { aTarget, aTask, succeeded, t0 } from "../../support/builders.ts"
import { inserted, startOne } from "./harness.ts"
import type { Repository, Suite } from "./harness.ts"

export const controlsContract = ({ end, open, test }: Suite): void => {
  const setCap = (repository: Repository, name: string, concurrency: number | undefined) =>
    repository.changeControl("cap", name, () => ({ answer: undefined, state: encodeCap(concurrency) }))

  const tasksOf = (name: string, count: number) =>
    Array.from({ length: count }, () => aTask({ function: aTarget(name) }))

  const startAll = (repository: Repository, lease: Lease, tasks: ReadonlyArray<ScheduledTask>) =>
    Effect.map(
      repository.start(
        lease,
        tasks.map((task) => ({
          id: task.id,
          token: task.token,
          successor: undefined,
          claimed: task,
          caps: [ofAll, task.function.name]
        })),
        t0
      ),
      (verdicts) => verdicts.map((verdict) => verdict._tag === "Capped" ? `Capped by ${verdict.cap}` : verdict._tag)
    )

  test("a control is changed by one after the other, and each change is told of by the revision", (repository) =>
    Effect.gen(function*() {
      expect(yield* repository.controls).toEqual({ revision: 0, controls: [] })
      const count = repository.changeControl("breaker", "job", (state = "0") => ({
        answer: state,
        state: String(Number(state) + 1)
      }))
      const answers = yield* Effect.all(Array.from({ length: 10 }, () => count), { concurrency: "unbounded" })
      expect(new Set(answers).size).toBe(10)
      const same = yield* repository.changeControl("breaker", "job", (state) => ({ answer: state, state }))
      expect(same).toBe("10")
      yield* repository.changeControl("breaker", "other", (state) => ({ answer: undefined, state }))
      const { controls, revision } = yield* repository.controls
      expect(controls).toEqual([{ kind: "breaker", name: "job", state: "10" }])
      expect(revision).toBe(10)
      const lease = yield* open(repository)
      if (repository.shared) {
        expect((yield* repository.renewLease(lease, 60_000)).controlsRevision).toBe(10)
      }
    }))

  test("no more start than a cap has room for; one that has ended makes room", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      yield* setCap(repository, "capped", 2)
      const capped = yield* inserted(repository, lease, tasksOf("capped", 4))
      const [free] = yield* inserted(repository, lease, tasksOf("free", 1))
      const all = [...capped, free as ScheduledTask]
      const first = yield* startAll(repository, lease, all)
      expect(first).toEqual(["Started", "Started", "Capped by capped", "Capped by capped", "Started"])
      expect(yield* startAll(repository, lease, capped.slice(2))).toEqual(["Capped by capped", "Capped by capped"])
      yield* repository.settle(lease, [succeeded(capped[0] as ScheduledTask)])
      expect(yield* startAll(repository, lease, capped.slice(2))).toEqual(["Started", "Capped by capped"])
      yield* setCap(repository, "capped", undefined)
      expect(yield* startAll(repository, lease, capped.slice(3))).toEqual(["Started"])
    }))

  test("the cap of all functions counts them together, over all instances", (repository) =>
    Effect.gen(function*() {
      const [one, two] = [yield* open(repository), yield* open(repository)]
      yield* setCap(repository, ofAll, 3)
      const mine = yield* inserted(repository, one, [...tasksOf("a", 1), ...tasksOf("b", 1)])
      const theirs = yield* inserted(repository, two, tasksOf("c", 2))
      expect(yield* startAll(repository, one, mine)).toEqual(["Started", "Started"])
      expect(yield* startAll(repository, two, theirs)).toEqual(["Started", `Capped by ${ofAll}`])
      yield* repository.cancel(one, { _tag: "Task", id: mine[0]?.id as ScheduledTask["id"], successor: undefined }, t0)
      expect(yield* startAll(repository, two, theirs.slice(1))).toEqual(["Started"])
    }))

  test("many instances at once never start more than the cap", (repository) =>
    Effect.gen(function*() {
      yield* setCap(repository, "capped", 5)
      const held = yield* Effect.forEach(
        Array.from({ length: 4 }),
        () =>
          Effect.flatMap(open(repository), (lease) =>
            Effect.map(inserted(repository, lease, tasksOf("capped", 5)), (tasks) => ({ lease, tasks })))
      )
      const verdicts = yield* Effect.forEach(
        held.flatMap(({ lease, tasks }) =>
          tasks.map((task) => ({ lease, task }))
        ),
        ({ lease, task }) => startAll(repository, lease, [task]),
        { concurrency: "unbounded" }
      )
      expect(verdicts.flat().filter((verdict) => verdict === "Started")).toHaveLength(5)
    }))

  test("a crashed holder's room is free once its lease has ended", (repository) =>
    Effect.gen(function*() {
      const [dies, lives] = [yield* open(repository), yield* open(repository)]
      yield* setCap(repository, "capped", 1)
      const [running] = yield* inserted(repository, dies, tasksOf("capped", 1))
      expect(yield* startAll(repository, dies, [running as ScheduledTask])).toEqual(["Started"])
      yield* end(repository, dies)
      const another = yield* open(repository)
      const [next] = yield* inserted(repository, another, tasksOf("capped", 1))
      expect(yield* startAll(repository, another, [next as ScheduledTask])).toEqual(["Started"])
      expect(lives.instanceId).not.toBe(another.instanceId)
    }))

  test("a mark that asks for no room is as any other", (repository) =>
    Effect.gen(function*() {
      const lease = yield* open(repository)
      yield* setCap(repository, "capped", 1)
      const [first, second] = yield* inserted(repository, lease, tasksOf("capped", 2))
      expect(yield* startAll(repository, lease, [first as ScheduledTask])).toEqual(["Started"])
      expect((yield* startAll(repository, lease, [second as ScheduledTask]))[0]).toBe("Capped by capped")
      // Without asking for room it is as any other.
      expect((yield* startOne(repository, lease, second as ScheduledTask))._tag).toBe("Started")
    }))
}
