/**
 * Many callers, one statement: what is asked for while a statement is under way goes into the next one. Each caller is
 * answered after the commit that holds its own request, and with its own verdict.
 */
import type { Scope } from "effect"
import { Effect, Exit, Runtime } from "effect"
import type { TaskRepositoryError } from "../../domain/Errors.ts"

/** Asks for some requests together; they are never parted into several commits unless one of them is refused. */
export type Submit<Request, Answer> = (
  requests: ReadonlyArray<Request>
) => Effect.Effect<ReadonlyArray<Answer>, TaskRepositoryError>

interface Entry<Request, Answer> {
  readonly requests: ReadonlyArray<Request>
  readonly bytes: number
  readonly answer: (exit: Exit.Exit<ReadonlyArray<Answer>, TaskRepositoryError>) => void
}

export interface GroupCommitOptions<Request, Answer> {
  /** Statements under way at a time. */
  readonly lanes: number
  /** Requests in one statement. */
  readonly maxRows: number
  /** Bytes in one statement, unless a single request is larger. */
  readonly maxBytes: number
  /** Requests and bytes that may wait; who comes then waits for its turn to wait. */
  readonly maxWaiting: { readonly rows: number; readonly bytes: number }
  readonly bytesOf: (request: Request) => number
  /** Commits requests together, or none of them. */
  readonly commit: (requests: ReadonlyArray<Request>) => Effect.Effect<ReadonlyArray<Answer>, TaskRepositoryError>
  /** What a statement waits for before it takes what is there; default: that the fibers that can run have run once. */
  readonly gather?: Effect.Effect<void> | undefined
  /** Told of each statement's number of requests. */
  readonly onCommit?: ((rows: number) => void) | undefined
}

/**
 * Makes the entrance of a group commit. Its statements run in fibers of the scope, so that a caller who gives up does
 * not take a statement of others with it.
 */
export const makeGroupCommit = <Request, Answer>(
  options: GroupCommitOptions<Request, Answer>
): Effect.Effect<Submit<Request, Answer>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const runFork = Runtime.runFork(yield* Effect.runtime())
    const scope = yield* Effect.scope
    const { bytesOf, commit, gather = Effect.yieldNow(), lanes, maxBytes, maxRows, maxWaiting, onCommit } = options
    let queue: Array<Entry<Request, Answer>> = []
    let head = 0
    let rows = 0
    let bytes = 0
    let underWay = 0
    /** Callers that found the queue full. */
    let outside: Array<() => void> = []

    const isFull = () => rows >= maxWaiting.rows || bytes >= maxWaiting.bytes

    const take = (): Array<Entry<Request, Answer>> => {
      const taken: Array<Entry<Request, Answer>> = []
      let takenRows = 0
      let takenBytes = 0
      while (head < queue.length) {
        const next = queue[head] as Entry<Request, Answer>
        const fits = takenRows + next.requests.length <= maxRows && takenBytes + next.bytes <= maxBytes
        if (taken.length > 0 && !fits) break
        taken.push(next)
        head++
        takenRows += next.requests.length
        takenBytes += next.bytes
      }
      if (head === queue.length) {
        queue = []
        head = 0
      } else if (head > 1_024 && head * 2 > queue.length) {
        queue = queue.slice(head)
        head = 0
      }
      rows -= takenRows
      bytes -= takenBytes
      if (outside.length > 0 && !isFull()) {
        const entering = outside
        outside = []
        for (const enter of entering) enter()
      }
      return taken
    }

    const answerAll = (entries: ReadonlyArray<Entry<Request, Answer>>, answers: ReadonlyArray<Answer>) => {
      let from = 0
      for (const { answer, requests } of entries) {
        answer(Exit.succeed(answers.slice(from, from + requests.length)))
        from += requests.length
      }
    }

    /** A commit that is refused for its data is split until what is at fault stands alone. */
    const commitAll = (entries: ReadonlyArray<Entry<Request, Answer>>): Effect.Effect<void> => {
      const requests = entries.length === 1
        ? (entries[0] as Entry<Request, Answer>).requests
        : entries.flatMap((entry) => entry.requests)
      return Effect.matchCauseEffect(Effect.suspend(() => commit(requests)), {
        onSuccess: (answers) => {
          onCommit?.(requests.length)
          return Effect.sync(() => answerAll(entries, answers))
        },
        onFailure: (cause) => {
          if (entries.length > 1 && cause._tag === "Fail" && cause.error.reason === "Rejected") {
            const half = entries.length >> 1
            return Effect.zipRight(commitAll(entries.slice(0, half)), commitAll(entries.slice(half)))
          }
          return Effect.sync(() => {
            for (const { answer } of entries) answer(Exit.failCause(cause))
          })
        }
      })
    }

    // Gives way once before it takes: callers that run in the same turn come along.
    const lane: Effect.Effect<void> = Effect.zipRight(
      gather,
      Effect.suspend(() => {
        const taken = take()
        if (taken.length > 0) return Effect.zipRight(commitAll(taken), lane)
        underWay--
        return Effect.void
      })
    )

    const pump = () => {
      if (underWay >= lanes || head === queue.length) return
      underWay++
      runFork(Effect.uninterruptible(lane), { scope })
    }

    const enter = (entry: Entry<Request, Answer>): void => {
      if (isFull()) {
        outside.push(() => enter(entry))
        return
      }
      queue.push(entry)
      rows += entry.requests.length
      bytes += entry.bytes
      pump()
    }

    return (requests) =>
      requests.length === 0 ? Effect.succeed([]) : Effect.async((resume) => {
        let size = 0
        for (const request of requests) size += bytesOf(request)
        enter({ requests, bytes: size, answer: resume })
      })
  })
