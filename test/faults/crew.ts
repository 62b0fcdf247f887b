/**
 * Processes that fire, others that ask, and the endpoint between them, which holds what has run: one store, and one clock
 * to compare by.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { EngineSettings, RetryOptions, Task, TaskFilter, TaskId } from "../../src/index.ts"
import { pick, seeded } from "../chaos/chanceAndTime.ts"
import { bundle, start } from "../chaos/programs.ts"
import type { Program } from "../chaos/programs.ts"
import { freshSchemaName, postgresUrl } from "../support/postgres.ts"
import type { FiringSettings } from "./fixtures/firing.ts"
import type { Scheduler } from "./rig.ts"
import { launch, postgresIn } from "./rig.ts"
import type { Arrival, FunctionScript, ScriptedEndpoint } from "./ScriptedEndpoint.ts"
import { now, ok, scriptedEndpoint, threw } from "./ScriptedEndpoint.ts"

/** What every payload tells. */
export interface Told {
  readonly lane: string
  /** The first attempt fails, if it is said so; otherwise that is left to chance. */
  readonly fails?: boolean
  readonly edit?: number
  readonly by?: string
}

export const told = ({ payload }: Pick<Arrival, "payload">): Told => JSON.parse(payload) as Told

/** A Task as it was when it was looked at. */
export type Seen = ReadonlyMap<TaskId, Task>

export interface Crew {
  readonly endpoint: ScriptedEndpoint
  /** Whoever asks for it all. */
  readonly asker: Scheduler
  /** Another one, on connections of its own. */
  readonly rival: Scheduler
  /** The latest call for a lane. */
  readonly latest: (lane: string) => Arrival | undefined
  /** Tasks whose function has run well. */
  readonly done: ReadonlySet<string>
  /** The newest Tasks of a kind. */
  readonly look: (filter: TaskFilter, newest: number) => Effect.Effect<Seen>
  /** How many calls came from each process that fires. */
  readonly firedBy: () => { readonly first: number; readonly second: number }
  /** What the processes that should live have said, if one does not. */
  readonly dead: () => ReadonlyArray<string>
}

/** Others learn within a heartbeat that they may go on: a short one makes short tests. */
const settings: Partial<EngineSettings> = { heartbeatInterval: 250 }

/** What fails is due again at once, so that retries are among what races. */
export const retry: RetryOptions = { maxAttempts: 4, backoff: "fixed", baseDelay: 50 }

const keys = { first: "AKIAFIRINGFIRST00000", second: "AKIAFIRINGSECOND0000" }

/** One attempt in so many fails. */
const failing = 10

/** Milliseconds: no run takes longer. */
const longestRun = 80

/** The program of those that fire. */
export const firingProgram = bundle("../faults/fixtures/firing.ts")

/**
 * @param program the bundled one
 * @param functions by name: all of them do the same
 */
export const makeCrew = (program: string, functions: ReadonlyArray<string>): Effect.Effect<Crew, never, Scope.Scope> =>
  Effect.gen(function*() {
    const chance = seeded("the crew's functions")
    const heard = new Map<string, Arrival>()
    const done = new Set<string>()
    const script: FunctionScript = (arrival) => {
      const { fails, lane } = told(arrival)
      heard.set(lane, arrival)
      const isWell = arrival.attempt > 1 || !(fails ?? pick(chance, failing) === 0)
      return {
        answer: isWell ? ok() : threw("AtFirst"),
        after: pick(chance, longestRun),
        onAnswer: () => isWell && done.add(arrival.taskId)
      }
    }
    const endpoint = yield* scriptedEndpoint(Object.fromEntries(functions.map((name) => [name, script])))
    const schema = freshSchemaName()
    const fire = (accessKeyId: string): Effect.Effect<Program, never, Scope.Scope> => {
      const firing: FiringSettings = {
        accessKeyId,
        databaseUrl: postgresUrl(),
        schema,
        endpoint: endpoint.url,
        heartbeatInterval: settings.heartbeatInterval as number
      }
      return Effect.flatMap(start(program, { FIRING: JSON.stringify(firing) }), ([firing, first]) =>
        first === undefined
          ? Effect.dieMessage(`It did not start: ${firing.output()}`)
          : Effect.succeed(firing))
    }
    const processes = yield* Effect.all([fire(keys.first), fire(keys.second)], { concurrency: 2 })
    // Last, so that they know of the others from the start; without a slot, they leave all of the work to these.
    const ask = launch(endpoint, { store: postgresIn(schema), settings: { ...settings, concurrency: 0 } })
    const asker = yield* ask
    const rival = yield* ask
    const callsUnder = (key: string) =>
      endpoint.log.filter(({ asked }) => String(asked.headers.authorization).includes(key)).length
    return {
      endpoint,
      asker,
      rival,
      latest: (lane) => heard.get(lane),
      done,
      look: (filter, newest) =>
        Effect.map(
          Effect.orDie(asker.list(filter, { limit: newest })),
          ({ items }) => new Map(items.map((task) => [task.id, task]))
        ),
      firedBy: () => ({ first: callsUnder(keys.first), second: callsUnder(keys.second) }),
      dead: () => processes.flatMap((process) => process.hasEnded() ? [process.output()] : [])
    }
  })

export const sleepUntil = (at: number): Effect.Effect<void> =>
  Effect.suspend(() => Effect.sleep(Math.max(0, at - now())))

/** Milliseconds before it is due at which a start mark may be written. */
const lead = 20

export interface Asked<A> {
  readonly answer: A
  readonly calledAt: number
  readonly answeredAt: number
}

/**
 * When to ask, so that the answer comes before, in or after a run: by how long asking and running take lately, on a slow
 * machine as well.
 */
export interface Aim {
  /** Milliseconds after a Task is due at which to ask; before it, if they are negative. */
  readonly offset: () => number
  readonly timed: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<Asked<A>, E, R>
  /** Learns how long runs take from those that have ended. */
  readonly learn: (seen: Seen) => void
  /** How far ahead something has to be to be raced with. */
  readonly ahead: () => number
}

/** A mean of what was lately, of which one that is far out is no measure. */
const makeUsual = (first: number) => {
  let usual = first
  return {
    is: () => usual,
    note: (took: number) => {
      usual += (Math.min(took, 4 * usual) - usual) / 8
    }
  }
}

export const makeAim = (chance: () => number): Aim => {
  const asking = makeUsual(20)
  const running = makeUsual(2 * longestRun)
  const before = () => lead + 2 * asking.is()
  return {
    ahead: () => Math.min(before() + 50, 400),
    offset: () => chance() * (before() + running.is()) - before(),
    learn: (seen) => {
      for (const task of seen.values()) {
        if (task.status === "Succeeded" && task.attempts.length === 1) running.note(task.finishedAt - task.dueAt)
      }
    },
    timed: (call) =>
      Effect.suspend(() => {
        const calledAt = now()
        return Effect.map(call, (answer) => {
          const answeredAt = now()
          asking.note(answeredAt - calledAt)
          return { answer, calledAt, answeredAt }
        })
      })
  }
}
