import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Scope } from "effect"
import type { GroupCommitOptions } from "../../../src/adapters/sql/GroupCommit.ts"
import { makeGroupCommit } from "../../../src/adapters/sql/GroupCommit.ts"
import { TaskRepositoryError } from "../../../src/domain/Errors.ts"

interface Commit {
  readonly requests: ReadonlyArray<number>
  /** Ends it, as it would by itself unless another end is given. */
  readonly end: (exit?: Exit.Exit<ReadonlyArray<string>, TaskRepositoryError>) => Effect.Effect<void>
}

const verdictOf = (request: number) => `verdict of ${request}`

const failure = (reason: "Rejected" | "Unavailable") => new TaskRepositoryError({ reason, message: reason })

/** Lets every fiber that can run do so. */
const settle = Effect.repeatN(Effect.yieldNow(), 50)

/** A group commit of numbers, each as heavy as it says, whose commits end when they are told to. */
const rig = (options: Partial<GroupCommitOptions<number, string>> = {}) =>
  Effect.gen(function*() {
    const commits: Array<Commit> = []
    let underWay = 0
    let most = 0
    const submit = yield* makeGroupCommit<number, string>({
      lanes: 1,
      maxRows: 1_000,
      maxBytes: Infinity,
      maxWaiting: { rows: Infinity, bytes: Infinity },
      bytesOf: (request) => request,
      commit: (requests) =>
        Effect.gen(function*() {
          const ended = yield* Deferred.make<ReadonlyArray<string>, TaskRepositoryError>()
          commits.push({
            requests,
            end: (exit = Exit.succeed(requests.map(verdictOf))) => Effect.asVoid(Deferred.done(ended, exit))
          })
          underWay++
          most = Math.max(most, underWay)
          return yield* Effect.ensuring(
            Deferred.await(ended),
            Effect.sync(() => {
              underWay--
            })
          )
        }),
      ...options
    })
    return {
      submit,
      commits,
      most: () => most,
      /** Ends commits as they come until there are no more. */
      endAll: (
        exitOf: (commit: Commit) => Exit.Exit<ReadonlyArray<string>, TaskRepositoryError> | undefined = () => undefined
      ) =>
        Effect.gen(function*() {
          yield* settle
          for (let index = 0; index < commits.length; index++) {
            const commit = commits[index] as Commit
            yield* commit.end(exitOf(commit))
            yield* settle
          }
        })
    }
  })

const numbers = (length: number, from = 0) => Array.from({ length }, (_, index) => from + index)

const rejecting = (isBad: (request: number) => boolean) => ({ requests }: Commit) =>
  requests.some(isBad) ? Exit.fail(failure("Rejected")) : undefined

describe("GroupCommit", () => {
  it.scoped("what is asked for in one turn is one commit, and what comes meanwhile the next", () =>
    Effect.gen(function*() {
      const { commits, endAll, submit } = yield* rig()
      const ask = (requests: ReadonlyArray<number>) => Effect.fork(submit(requests))
      const early = yield* Effect.forEach(numbers(64), (number) => ask([number]))
      yield* settle
      expect(commits.map(({ requests }) => requests)).toEqual([numbers(64)])
      const late = yield* Effect.forEach(numbers(32), (index) => ask([64 + 2 * index, 65 + 2 * index]))
      yield* settle
      expect(commits).toHaveLength(1)
      yield* endAll()
      expect(commits.map(({ requests }) => requests)).toEqual([numbers(64), numbers(64, 64)])
      expect(yield* Fiber.joinAll(early)).toEqual(numbers(64).map((number) => [verdictOf(number)]))
      expect(yield* Fiber.joinAll(late))
        .toEqual(numbers(32).map((index) => [verdictOf(64 + 2 * index), verdictOf(65 + 2 * index)]))
    }))

  it.scoped("nobody is answered before the commit has ended, and each only by its own", () =>
    Effect.gen(function*() {
      const { commits, submit } = yield* rig()
      const first = yield* Effect.fork(submit([1]))
      yield* settle
      const second = yield* Effect.fork(submit([2]))
      yield* settle
      expect(first.unsafePoll()).toBeNull()
      yield* (commits[0] as Commit).end()
      yield* settle
      expect(first.unsafePoll()).toEqual(Exit.succeed([verdictOf(1)]))
      expect(second.unsafePoll()).toBeNull()
      yield* (commits[1] as Commit).end()
      expect(yield* Fiber.join(second)).toEqual([verdictOf(2)])
    }))

  it.scoped("to ask for nothing is answered at once", () =>
    Effect.gen(function*() {
      const { commits, submit } = yield* rig()
      expect(yield* submit([])).toEqual([])
      expect(commits).toEqual([])
    }))

  it.scoped("no commit has more rows than it may; one caller's rows are never parted, however many", () =>
    Effect.gen(function*() {
      const { commits, endAll, submit } = yield* rig({ maxRows: 10 })
      const asked = [3, 3, 3, 3, 25, 1, 10, 9, 1, 1].map((length, index) => numbers(length, index * 100))
      const callers = yield* Effect.forEach(asked, (requests) => Effect.fork(submit(requests)))
      yield* endAll()
      expect(commits.map(({ requests }) => requests.length)).toEqual([9, 3, 25, 1, 10, 10, 1])
      expect(commits.flatMap(({ requests }) => requests)).toEqual(asked.flat())
      expect(yield* Fiber.joinAll(callers)).toEqual(asked.map((requests) => requests.map(verdictOf)))
    }))

  it.scoped("no commit has more bytes than it may, unless one caller alone has", () =>
    Effect.gen(function*() {
      const { commits, endAll, submit } = yield* rig({ maxBytes: 100 })
      yield* Effect.forEach([60, 40, 1, 99, 250, 100, 30, 30, 30, 30], (bytes) => Effect.fork(submit([bytes])))
      yield* endAll()
      expect(commits.map(({ requests }) => requests)).toEqual([[60, 40], [1, 99], [250], [100], [30, 30, 30], [30]])
    }))

  it.scoped("as many commits are under way as there are lanes, and no more", () =>
    Effect.gen(function*() {
      const { commits, endAll, most, submit } = yield* rig({ lanes: 3, maxRows: 2 })
      const callers = yield* Effect.forEach(numbers(40), (number) => Effect.fork(submit([number])))
      yield* settle
      expect(commits).toHaveLength(3)
      yield* endAll()
      expect(most()).toBe(3)
      expect(commits.flatMap(({ requests }) => requests)).toEqual(numbers(40))
      expect(yield* Fiber.joinAll(callers)).toHaveLength(40)
      // Idle lanes are taken up again.
      const again = yield* Effect.fork(submit([40]))
      yield* settle
      yield* (commits.at(-1) as Commit).end()
      expect(yield* Fiber.join(again)).toEqual([verdictOf(40)])
    }))

  it.scoped("a refused row is split off: its caller fails, with all it asked for, and nobody else", () =>
    Effect.gen(function*() {
      const { commits, endAll, submit } = yield* rig()
      const asked = numbers(32).map((index) => [2 * index, 2 * index + 1])
      const callers = yield* Effect.forEach(asked, (requests) => Effect.fork(submit(requests)))
      yield* endAll(rejecting((number) => number === 13 || number === 40))
      const exits = yield* Effect.forEach(callers, Fiber.await)
      exits.forEach((exit, index) =>
        expect(exit).toEqual(
          index === 6 || index === 20 ? Exit.fail(failure("Rejected")) : Exit.succeed(asked[index]?.map(verdictOf))
        )
      )
      // Each is halved five times at the most, not tried row by row.
      expect(commits.length).toBeLessThanOrEqual(1 + 2 * 2 * 5)
      const stored = commits.filter((commit) =>
        rejecting((number) => number === 13 || number === 40)(commit) === undefined
      )
      expect(stored.flatMap(({ requests }) => requests))
        .toEqual(numbers(64).filter((number) => ![12, 13, 40, 41].includes(number)))
    }))

  it.scoped("all rows refused: every caller gets its own refusal", () =>
    Effect.gen(function*() {
      const { endAll, submit } = yield* rig()
      const callers = yield* Effect.forEach(numbers(9), (number) => Effect.fork(submit([number])))
      yield* endAll(rejecting(() => true))
      for (const caller of callers) expect(yield* Fiber.await(caller)).toEqual(Exit.fail(failure("Rejected")))
    }))

  it.scoped("a store that is away fails those of the commit, once, and none of the next", () =>
    Effect.gen(function*() {
      const { commits, endAll, submit } = yield* rig()
      const early = yield* Effect.forEach(numbers(5), (number) => Effect.fork(submit([number])))
      yield* settle
      const late = yield* Effect.forEach(numbers(5, 5), (number) => Effect.fork(submit([number])))
      yield* endAll(({ requests }) => requests.includes(0) ? Exit.fail(failure("Unavailable")) : undefined)
      expect(commits).toHaveLength(2)
      for (const caller of early) expect(yield* Fiber.await(caller)).toEqual(Exit.fail(failure("Unavailable")))
      expect(yield* Fiber.joinAll(late)).toEqual(numbers(5, 5).map((number) => [verdictOf(number)]))
    }))

  it.scoped("a commit that dies takes its own callers with it, and the next one goes on", () =>
    Effect.gen(function*() {
      let made = 0
      const { submit } = yield* rig({
        commit: (requests) => {
          made++
          if (made === 1) throw new Error("boom")
          return made === 2 ? Effect.die("bang") : Effect.succeed(requests.map(verdictOf))
        }
      })
      for (const defect of [new Error("boom"), "bang"]) {
        const exits = yield* Effect.forEach([1, 2], (number) => Effect.exit(submit([number])), {
          concurrency: "unbounded"
        })
        for (const exit of exits) expect(exit).toEqual(Exit.failCause(Cause.die(defect)))
      }
      expect(yield* submit([3])).toEqual([verdictOf(3)])
    }))

  it.scoped("a caller that gives up harms nobody, and what it asked for is committed all the same", () =>
    Effect.gen(function*() {
      const { commits, endAll, submit } = yield* rig({ maxWaiting: { rows: 4, bytes: Infinity } })
      const callers = yield* Effect.forEach(numbers(10), (number) => Effect.fork(submit([number])))
      yield* settle
      // One under way, one that waits, one that waits for its turn to wait.
      for (const index of [0, 4, 9]) yield* Fiber.interrupt(callers[index] as Fiber.RuntimeFiber<unknown>)
      yield* endAll()
      expect(commits.flatMap(({ requests }) => requests)).toEqual(numbers(10))
      for (const [index, caller] of callers.entries()) {
        const exit = yield* Fiber.await(caller)
        if ([0, 4, 9].includes(index)) expect(Exit.isInterrupted(exit)).toBe(true)
        else expect(exit).toEqual(Exit.succeed([verdictOf(index)]))
      }
    }))

  it.scoped("who finds the queue full comes in later, in the order of coming, by rows and by bytes", () =>
    Effect.gen(function*() {
      for (const maxWaiting of [{ rows: 5, bytes: Infinity }, { rows: Infinity, bytes: 5 }]) {
        const { commits, endAll, submit } = yield* rig({ bytesOf: () => 1, maxWaiting })
        const callers = yield* Effect.forEach(numbers(40), (number) => Effect.fork(submit([number])))
        yield* settle
        // The first commit has taken what waited then; five more wait, the rest stands outside.
        const [first] = commits
        expect(first?.requests).toEqual(numbers(5))
        yield* endAll()
        expect(commits.flatMap(({ requests }) => requests)).toEqual(numbers(40))
        expect(Math.max(...commits.map(({ requests }) => requests.length))).toBe(5)
        expect(yield* Fiber.joinAll(callers)).toEqual(numbers(40).map((number) => [verdictOf(number)]))
      }
    }))

  it.scoped("one who asks for more than may wait comes in as well", () =>
    Effect.gen(function*() {
      const { endAll, submit } = yield* rig({ maxRows: 3, maxWaiting: { rows: 5, bytes: Infinity } })
      const callers = yield* Effect.forEach([20, 20, 1], (length) => Effect.fork(submit(numbers(length))))
      yield* endAll()
      expect((yield* Fiber.joinAll(callers)).map((verdicts) => verdicts.length)).toEqual([20, 20, 1])
    }))

  it.scoped("tells how many rows each commit had, and of no commit that failed", () =>
    Effect.gen(function*() {
      const told: Array<number> = []
      const { endAll, submit } = yield* rig({ onCommit: (rows) => told.push(rows), maxRows: 4 })
      yield* Effect.forEach(numbers(8), (number) => Effect.fork(submit([number])))
      yield* endAll(rejecting((number) => number === 5))
      expect(told).toEqual([4, 1, 2])
    }))

  it.effect("a scope that closes waits for what is under way and what waits", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { commits, endAll, submit } = yield* Scope.extend(rig({ maxRows: 1 }), scope)
      const callers = yield* Effect.forEach(numbers(3), (number) => Effect.fork(submit([number])))
      yield* settle
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* settle
      expect(commits).toHaveLength(1)
      expect(closing.unsafePoll()).toBeNull()
      yield* endAll()
      yield* Fiber.join(closing)
      expect(yield* Fiber.joinAll(callers)).toEqual(numbers(3).map((number) => [verdictOf(number)]))
      // Who comes later is not left waiting for ever.
      const late = yield* Effect.fork(submit([9]))
      yield* settle
      yield* endAll()
      expect(late.unsafePoll()).not.toBeNull()
    }))
})
