/**
 * Kills workers again and again while others live, and counts what each kill came upon. One implementation for the short
 * run within `npm test` and for the long one.
 */
import { Effect, Fiber } from "effect"
import type { Scope } from "effect"
import { now, pick, seeded } from "./chanceAndTime.ts"
import type { Rig } from "./Rig.ts"
import type { CrashPoint } from "./settings.ts"
import { moments, steps } from "./settings.ts"
import type { Violation } from "./verify.ts"
import type { Worker } from "./WorkerProcess.ts"

/** What work was in when it was hit. */
export const phases = [
  /** Asked for; the store has never heard of it. */
  "before commit",
  /** Stored; whoever asked was not told. */
  "committed and unanswered",
  /** Claimed and not started. */
  "claimed",
  /** Started and not settled. */
  "started",
  /** The function had answered; its outcome was not stored. */
  "answered and not settled"
] as const
export type Phase = (typeof phases)[number]

export interface Kill {
  readonly worker: string
  /** Where it died; `anywhere`: wherever it happened to be. */
  readonly point: CrashPoint | "anywhere"
  /** How much work was in each phase. */
  readonly hit: Readonly<Record<Phase, number>>
}

/** A kill that is worth something: in the midst of asking, waiting and running. */
const isFull = ({ hit }: Kill): boolean =>
  hit["before commit"] + hit["committed and unanswered"] > 0 && hit.claimed > 0 && hit.started > 0

export interface KillingOptions {
  /** How many full kills there must have been. */
  readonly kills: number
  /** How many workers there are at a time. */
  readonly workers: number
  /** Milliseconds from one kill to the next, at the least and at the most. */
  readonly pause: readonly [least: number, most: number]
}

export interface KillingReport {
  readonly kills: ReadonlyArray<Kill>
  /** How many of them were worth something. */
  readonly full: number
  readonly violations: ReadonlyArray<Violation>
  /** How many of the kills hit each phase. */
  readonly hits: Readonly<Record<Phase, number>>
  /** Milliseconds until the work of each killed worker was free again, in order. */
  readonly takeovers: ReadonlyArray<number>
  readonly tasks: number
  readonly acknowledged: number
  readonly unknownAttempts: number
}

/** One is here twice that a kill at random hardly ever hits: what has left a process is committed without it. */
const points: ReadonlyArray<CrashPoint> = [
  "before insert",
  ...moments.flatMap((moment) => steps.map((step): CrashPoint => `${moment} ${step}`))
]

/** A step that a worker is to die at may not come up. */
const crashWithin = 150

/** What is not yet known at the moment of the kill: whether an unanswered insert was committed. */
interface Struck extends Omit<Kill, "hit"> {
  readonly unanswered: ReadonlyArray<string>
  readonly claimed: number
  readonly started: number
  readonly answered: number
}

const strike = (rig: Rig, victim: Worker, point: Kill["point"], chance: () => number): Effect.Effect<Struck> =>
  Effect.gen(function*() {
    victim.tell({ order: "burst" })
    yield* Effect.sleep(10 + pick(chance, 60))
    if (point !== "anywhere") {
      victim.tell({ order: "crash", point })
      yield* Effect.timeoutOption(victim.ended, crashWithin)
    }
    victim.kill("SIGKILL")
    const { at } = yield* victim.ended
    const holdings = yield* rig.noteEnd(victim, at)
    const answers = new Set(
      (yield* rig.endpoint).flatMap(({ attempt, kind, t, taskId }) =>
        kind === "answer" && t <= at ? [`${taskId} ${attempt}`] : []
      )
    )
    const started = holdings.filter(({ status }) => status === "Running")
    return {
      worker: victim.name,
      point,
      unanswered: victim.unanswered(),
      claimed: holdings.length - started.length,
      started: started.length,
      answered: started.filter(({ attempt, id }) => answers.has(`${id} ${attempt}`)).length
    }
  })

/** Milliseconds: a worker that has just started has nothing to lose yet. */
const ripening = 700

export const killAgainAndAgain = (
  rig: Rig,
  { kills, pause: [least, most], workers }: KillingOptions
): Effect.Effect<KillingReport, never, Scope.Scope> =>
  Effect.gen(function*() {
    const chance = seeded(`${rig.seed} kills`)
    const ripeAt = new Map<string, number>()
    const startOne = Effect.tap(
      rig.startWorker(),
      ({ name }) => Effect.sync(() => ripeAt.set(name, now() + ripening))
    )
    yield* startOne
    yield* Effect.forEach(Array.from({ length: workers - 1 }), () => startOne, { concurrency: 2, discard: true })

    const starting: Array<Fiber.RuntimeFiber<Worker>> = []
    const struck: Array<Struck> = []
    let full = 0
    let nextAt = 0
    // A kill that came upon nothing is followed by another, but not for ever.
    while (full < kills && struck.length < 2 * kills) {
      const ready = (yield* rig.running).filter(({ name }) => now() >= (ripeAt.get(name) ?? Infinity))
      const victim = ready[pick(chance, ready.length)]
      // Somebody is left who can take over.
      if (victim === undefined || ready.length < 2 || now() < nextAt) {
        yield* Effect.sleep("10 millis")
        continue
      }
      const point = chance() < 0.5 ? "anywhere" : points[pick(chance, points.length)] ?? "anywhere"
      nextAt = now() + least + pick(chance, most - least + 1)
      const kill = yield* strike(rig, victim, point, chance)
      struck.push(kill)
      if (kill.unanswered.length > 0 && kill.claimed > 0 && kill.started > 0) full++
      if (full < kills) starting.push(yield* Effect.forkScoped(startOne))
    }

    yield* Fiber.joinAll(starting)
    const violations = yield* rig.verdict
    const { acknowledged, tasks } = yield* rig.history
    const stored = new Set(tasks.map(({ name }) => name))
    const done = struck.map(({ answered, claimed, point, started, unanswered, worker }): Kill => {
      const committed = unanswered.filter((ask) => stored.has(ask)).length
      return {
        worker,
        point,
        hit: {
          "before commit": unanswered.length - committed,
          "committed and unanswered": committed,
          claimed,
          started,
          "answered and not settled": answered
        }
      }
    })
    const count = (phase: Phase) => done.filter(({ hit }) => hit[phase] > 0).length
    return {
      kills: done,
      full: done.filter(isFull).length,
      violations,
      hits: Object.fromEntries(phases.map((phase) => [phase, count(phase)])) as Record<Phase, number>,
      takeovers: (yield* rig.takeovers).endings
        .flatMap(({ endedAt, freedAt }) => freedAt === undefined ? [] : [freedAt - endedAt])
        .sort((left, right) => left - right),
      tasks: tasks.length,
      acknowledged: acknowledged.length,
      unknownAttempts: tasks.reduce(
        (sum, { attempts }) => sum + attempts.filter(({ outcome }) => outcome === "unknown").length,
        0
      )
    }
  })
