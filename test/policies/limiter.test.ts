/** What is learned from throttles: laws of the pure limiter, its counter, and how it fares against targets that throttle. */
import { describe, expect, it } from "@effect/vitest"
import { Utils } from "effect"
import * as fc from "fast-check"
import type { Limiter, LimiterOptions, ThrottleKind, Traffic } from "../../src/policies/limiter.ts"
import {
  CallCounter,
  called,
  defaultLimiterOptions,
  initialLimiter,
  opensAt,
  succeeded,
  throttled
} from "../../src/policies/limiter.ts"
import { t0 } from "../support/builders.ts"
import type { Target } from "./throttledTarget.ts"
import { measure, simulate } from "./throttledTarget.ts"

const options = defaultLimiterOptions
const idle: Traffic = { inFlight: 0, lastSecond: 0 }

/** How long a second is at the most, for the counter counts in grains. */
const second = 1_020

type Command =
  | { readonly does: "wait"; readonly millis: number }
  /** Calls as often as it may, and waits until it may once more. */
  | { readonly does: "call"; readonly times: number }
  /** Calls one after the other, each of which is taken. */
  | { readonly does: "work"; readonly times: number; readonly takes: number }
  | {
    readonly does: "end"
    readonly which: number
    readonly as: "taken" | "failed" | ThrottleKind
    readonly times: number
    readonly retryAfter: number
  }

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant("wait" as const), millis: fc.oneof(fc.nat(50), fc.nat(2_000)) })
  },
  { weight: 1, arbitrary: fc.constant<Command>({ does: "wait", millis: 700_000 }) },
  { weight: 8, arbitrary: fc.record({ does: fc.constant("call" as const), times: fc.integer({ min: 1, max: 20 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant("work" as const),
      times: fc.integer({ min: 20, max: 60 }),
      takes: fc.oneof(fc.nat(10), fc.nat(100))
    })
  },
  {
    weight: 10,
    arbitrary: fc.record({
      does: fc.constant("end" as const),
      which: fc.nat(100),
      as: fc.constantFrom(
        "taken" as const,
        "taken" as const,
        "failed" as const,
        "concurrency" as const,
        "rate" as const
      ),
      times: fc.integer({ min: 1, max: 20 }),
      retryAfter: fc.constantFrom(0, 0, 0, 50, 1_000, 10_000)
    })
  }
)

const limitOf = (limiter: Limiter, kind: ThrottleKind): number => limiter[kind]?.limit ?? Infinity

/** Calls only when it may, and ends what runs as the commands say. */
const drive = (by: LimiterOptions, commands: ReadonlyArray<Command>, saw: (what: string) => void) => {
  const counter = new CallCounter()
  // Whatever is asked for: one at once, and one in five seconds.
  const least = { concurrency: Math.max(1, by.least), rate: 0.2 }
  let limiter = initialLimiter
  let running: Array<number> = []
  let now = t0
  /** The latest instant until which a throttle has asked to wait. */
  let asked = now

  const call = () => {
    limiter = called(limiter, now)
    counter.begin(now)
    running.push(now)
  }
  const end = (which: number, as: "taken" | "failed" | ThrottleKind, retryAfter: number) => {
    const begunAt = running[which] ?? expect.fail("it runs")
    running = running.filter((_, index) => index !== which)
    counter.end(begunAt, as === "taken" || as === "failed", now)
    const before = limiter
    const { inFlight, lastSecond } = counter
    if (as === "failed") return
    if (as === "taken") {
      limiter = succeeded(before, counter, now, by)
      for (const kind of ["concurrency", "rate"] as const) {
        const [was, is] = [limitOf(before, kind), limitOf(limiter, kind)]
        expect(is).toBeGreaterThanOrEqual(was)
        if (is === was) continue
        saw(is === Infinity ? `${kind} is forgotten` : `${kind} grows`)
        if (is === Infinity) continue
        expect(is).toBe(was + (before[kind]?.step ?? NaN))
        expect(now).toBeGreaterThanOrEqual(before[kind]?.growsAt ?? NaN)
      }
      return
    }
    asked = Math.max(asked, now + retryAfter)
    limiter = throttled(before, { kind: as, retryAfter }, counter, now, by)
    const other = as === "rate" ? "concurrency" : "rate"
    expect(limiter[other]).toEqual(before[other])
    const was = limitOf(before, as)
    const is = limitOf(limiter, as)
    expect(is).toBeLessThanOrEqual(was)
    saw(is === Infinity ? "what is measured is more than the most" : is < was ? `${as} falls` : `${as} stays`)
    const measured = as === "concurrency"
      ? inFlight
      : lastSecond >= 1
      ? lastSecond
      : (was === Infinity ? 1 : was) / 2
    const falls = Math.max(least[as], Math.min(was, measured))
    expect(is).toBe(falls > by.most ? Infinity : falls)
  }
  /** When it may call: `Infinity` only if something can end, and not later than can be told from what was asked. */
  const mayCallAt = (): number => {
    const at = opensAt(limiter, counter.at(now), now)
    if (at === Infinity) {
      expect(running.length).toBeGreaterThanOrEqual(Math.max(1, limitOf(limiter, "concurrency")))
      saw("one has to end first")
    } else if (at > now) saw("waits")
    return at
  }
  const wait = () => {
    const from = now
    while (true) {
      const at = mayCallAt()
      if (at <= now) break
      if (at < Infinity) now = at
      else end(0, "taken", 0)
    }
    // A second until what was taken is forgotten, or five if others have all of the limit; and what the rate asks for.
    expect(now).toBeLessThanOrEqual(Math.max(asked, from + Math.max(second, 5_000)) + 1_000 / limitOf(limiter, "rate"))
  }

  for (const command of commands) {
    if (command.does === "wait") now += command.millis
    if (command.does === "call") {
      for (let times = 0; times < command.times; times++) {
        if (mayCallAt() > now) {
          wait()
          break
        }
        call()
      }
    }
    if (command.does === "work") {
      for (let times = 0; times < command.times; times++) {
        wait()
        call()
        now += command.takes
        end(0, "taken", 0)
      }
    }
    if (command.does === "end") {
      for (let times = 0; times < command.times && running.length > 0; times++) {
        end(command.which % running.length, command.as, command.retryAfter)
      }
    }
    expect(counter.inFlight).toBe(running.length)
    for (const kind of ["concurrency", "rate"] as const) {
      const bound = limiter[kind]
      if (bound === undefined) continue
      expect(bound.limit).toBeGreaterThanOrEqual(least[kind])
      expect(bound.limit).toBeLessThanOrEqual(by.most)
      expect(bound.step).toBeGreaterThanOrEqual(1)
    }
    if (by.most === 0) {
      expect(mayCallAt()).toBeLessThanOrEqual(now)
      expect(limiter).toEqual(initialLimiter)
    }
  }
  // Nothing hangs: without further throttles it may call, however little was running.
  wait()
  call()
}

describe("the limiter, whatever comes", () => {
  const anyOptions = fc.record({
    least: fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 5 })),
    most: fc.oneof(fc.constant(10_000), fc.integer({ min: 5, max: 30 }), fc.constant(Infinity), fc.constant(0))
  })

  it("falls to what is measured and not below the least, grows step by step, and never hangs", () => {
    const seen = new Map<string, number>()
    const commands = fc.array(anyCommand, { minLength: 1, maxLength: 60, size: "max" })
    fc.assert(
      fc.property(
        anyOptions,
        commands,
        (by, commands) => drive(by, commands, (what) => seen.set(what, (seen.get(what) ?? 0) + 1))
      ),
      { numRuns: 300 }
    )
    const must = [
      "concurrency falls",
      "concurrency stays",
      "concurrency grows",
      "concurrency is forgotten",
      "rate falls",
      "rate stays",
      "rate grows",
      "rate is forgotten",
      "what is measured is more than the most",
      "one has to end first",
      "waits"
    ]
    for (const what of must) expect([what, (seen.get(what) ?? 0) > 10]).toEqual([what, true])
  })

  it("paces: in no time may more calls be made than the rate has for it, and one or 20 ms' worth at once", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3_000 }),
        fc.array(fc.oneof(fc.nat(10), fc.nat(300)), { minLength: 1, maxLength: 80, size: "max" }),
        (rate, gaps) => {
          const traffic: Traffic = { inFlight: 0, lastSecond: rate }
          let limiter = throttled(initialLimiter, { kind: "rate", retryAfter: 0 }, traffic, t0, options)
          const calls: Array<number> = []
          let now = t0
          for (const gap of gaps) {
            now += gap
            // As little as there can be, so that only the pace holds it back.
            while (opensAt(limiter, idle, now) <= now) {
              limiter = called(limiter, now)
              calls.push(now)
              if (calls.length > 1e5) expect.fail("no pace holds it back")
            }
          }
          calls.forEach((from, first) => {
            for (let last = first; last < calls.length; last++) {
              const most = Math.max(1, rate * 0.02) + ((calls[last] as number) - from) * rate / 1_000
              if (last - first + 1 > most + 1e-6) expect.fail(`${last - first + 1} calls instead of ${most}`)
            }
          })
          // And no fewer, but for what is lost in gaps that are longer than can be made up for.
          if (gaps.every((gap) => gap <= 10)) {
            expect(calls.length).toBeGreaterThanOrEqual(Math.floor((now - t0) * rate / 1_000 - 1e-6))
          }
        }
      ),
      { numRuns: 200 }
    )
  })
})

describe("the limiter", () => {
  const learned = (inFlight: number) =>
    throttled(initialLimiter, { kind: "concurrency", retryAfter: 0 }, { inFlight, lastSecond: inFlight }, t0, options)

  it("knows nothing at first, and holds nothing back", () => {
    expect(opensAt(initialLimiter, { inFlight: 1e6, lastSecond: 1e6 }, t0)).toBe(-Infinity)
    expect(succeeded(initialLimiter, idle, t0, options)).toBe(initialLimiter)
    expect(called(initialLimiter, t0)).toBe(initialLimiter)
  })

  it("takes what was under way beside a throttled call for the limit", () => {
    const limiter = learned(37)
    expect(opensAt(limiter, { inFlight: 37, lastSecond: 0 }, t0)).toBe(Infinity)
    expect(opensAt(limiter, { inFlight: 36, lastSecond: 0 }, t0)).toBeLessThanOrEqual(t0)
  })

  it("grows by one, then two, then four; and only while that is what holds calls back", () => {
    let limiter = learned(10)
    const limits: Array<number> = []
    for (let step = 1; step <= 4; step++) {
      const now = t0 + step * 250
      limiter = succeeded(limiter, { inFlight: 8, lastSecond: 0 }, now, options)
      for (let at = now; at < now + 250; at += 10) {
        limiter = succeeded(limiter, { inFlight: limitOf(limiter, "concurrency") - 1, lastSecond: 0 }, at, options)
      }
      limits.push(limitOf(limiter, "concurrency"))
    }
    expect(limits).toEqual([11, 13, 17, 25])
    for (let at = t0 + 2_000; at < t0 + 4_000; at += 10) {
      limiter = succeeded(limiter, { inFlight: 8, lastSecond: 0 }, at, options)
    }
    expect(limitOf(limiter, "concurrency")).toBe(25)
  })

  it("grows after two successes at first, however many were throttled at once, and after fifteen from then on", () => {
    const throttle = { kind: "concurrency", retryAfter: 0 } as const
    let limiter = initialLimiter
    let now = t0
    /** A hundred calls of which five were taken, answered one after the other. */
    const wave = () => {
      for (let inFlight = 99; inFlight >= 5; inFlight--) {
        limiter = throttled(limiter, throttle, { inFlight, lastSecond: inFlight }, now, options)
      }
      expect(limitOf(limiter, "concurrency")).toBe(5)
    }
    /** How many must succeed until it grows. */
    const successes = (): number => {
      const before = limitOf(limiter, "concurrency")
      now += 1_000
      for (let times = 1; times < 100; times++) {
        limiter = succeeded(limiter, { inFlight: before - 1, lastSecond: before }, now, options)
        if (limitOf(limiter, "concurrency") > before) return times
      }
      return Infinity
    }
    wave()
    expect([successes(), successes()]).toEqual([2, 1])
    wave()
    expect([successes(), successes()]).toEqual([15, 1])
  })

  it("does not grow before the target wants to be asked again", () => {
    const asked = throttled(
      initialLimiter,
      { kind: "concurrency", retryAfter: 3_000 },
      { inFlight: 10, lastSecond: 10 },
      t0,
      options
    )
    const grownAt = (at: number) => {
      let limiter = asked
      for (let times = 0; times < 20; times++) limiter = succeeded(limiter, { inFlight: 9, lastSecond: 0 }, at, options)
      return limitOf(limiter, "concurrency")
    }
    expect([grownAt(t0 + 2_999), grownAt(t0 + 3_000)]).toEqual([10, 11])
  })

  it("waits longer and longer while others have all of the limit, up to five seconds", () => {
    let limiter = initialLimiter
    let now = t0
    const waits: Array<number> = []
    for (let times = 0; times < 8; times++) {
      limiter = throttled(limiter, { kind: "concurrency", retryAfter: 0 }, idle, now, options)
      waits.push(opensAt(limiter, idle, now) - now)
      now = opensAt(limiter, idle, now)
    }
    expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
    limiter = succeeded(limiter, idle, now, options)
    limiter = throttled(limiter, { kind: "concurrency", retryAfter: 0 }, idle, now, options)
    expect(opensAt(limiter, idle, now)).toBe(now + 100)
    limiter = throttled(limiter, { kind: "concurrency", retryAfter: 20_000 }, idle, now, options)
    expect(opensAt(limiter, idle, now)).toBe(now + 20_000)
  })

  it("forgets a limit that was not reached for ten minutes", () => {
    const limiter = learned(10)
    const at = (now: number) => limitOf(succeeded(limiter, idle, now, options), "concurrency")
    expect([at(t0 + 600_000), at(t0 + 600_001)]).toEqual([10, Infinity])
  })
})

describe("CallCounter", () => {
  it("counts as a list of instants does: a second's calls and not those of 20 ms more, without what was throttled", () => {
    fc.assert(
      fc.property(
        fc.nat(1_000),
        fc.array(
          fc.oneof(
            fc.record({ gap: fc.oneof(fc.constant(0), fc.nat(30), fc.nat(1_500)), ends: fc.constant(undefined) }),
            fc.record({ gap: fc.oneof(fc.nat(30), fc.nat(400)), ends: fc.nat(100), taken: fc.boolean() })
          ),
          { minLength: 1, maxLength: 100, size: "max" }
        ),
        (offset, commands) => {
          const counter = new CallCounter()
          let now = t0 + offset
          let counted: Array<number> = []
          let running: Array<number> = []
          for (const command of commands) {
            now += command.gap
            if (command.ends === undefined) {
              counter.begin(now)
              counted.push(now)
              running.push(now)
            } else if (running.length > 0) {
              const which = command.ends % running.length
              const begunAt = running[which] as number
              running = running.filter((_, index) => index !== which)
              counter.end(begunAt, command.taken, now)
              const at = counted.indexOf(begunAt)
              if (!command.taken) counted = counted.filter((_, index) => index !== at)
            }
            const since = (millis: number) => counted.filter((at) => now - at < millis).length
            const { inFlight, lastSecond } = counter.at(now)
            expect(inFlight).toBe(running.length)
            expect(lastSecond).toBeGreaterThanOrEqual(since(1_001))
            expect(lastSecond).toBeLessThanOrEqual(since(second))
          }
        }
      ),
      { numRuns: 250 }
    )
  })
})

const latency = 2
/** Milliseconds of a start mark, and of a settlement. */
const store = 4
/** As many as an instance has by default. */
const slots = 100

interface Run {
  readonly name: string
  readonly mean: number
  readonly draw: (random: () => number) => number
}
const runs: ReadonlyArray<Run> = [
  ...[20, 100, 250].map((millis): Run => ({ name: `${millis} ms`, mean: millis, draw: () => millis })),
  { name: "exponential 100 ms", mean: 100, draw: (random) => -100 * Math.log(1 - random()) }
]

/** Printed with what fails; each simulation is one of its own. */
const seed = 1_988

const attempt = (target: (at: number) => Target, run: Run, instances: number, until: number) => {
  const random = new Utils.PCGRandom(seed)
  const draw = () => run.draw(() => random.number())
  return simulate({ target, run: draw, latency, store, instances, slots, until })
}

/**
 * Calls a second that the target allows. A place of its concurrency is taken from when a call's start mark is being written,
 * for from then on the instance counts it, until the answer has come; a slot until its settlement has been written as well.
 */
const allowed = ({ concurrency = Infinity, rate = Infinity }: Target, { mean }: Run, instances: number): number =>
  Math.min(
    rate,
    concurrency * 1_000 / (store + latency + mean),
    instances * slots * 1_000 / (store + latency + mean + store)
  )

const retryAfters = [0, 1_000]

const label = (run: Run, instances: number, retryAfter: number) =>
  `runs of ${run.name}, ${instances} instances, Retry-After ${retryAfter} ms, seed ${seed}`

describe("against a target that throttles", () => {
  const targets: Record<string, Target> = {
    "50 at once and 200 a second": { concurrency: 50, rate: 200 },
    "50 at once": { concurrency: 50 },
    "200 a second, from a bucket of as many": { rate: 200, burst: 200 },
    "200 a second, from a bucket of 20": { rate: 200, burst: 20 },
    "200 in any second": { rate: 200, counting: "sliding" },
    "200 in each second of the clock": { rate: 200, counting: "fixed" }
  }
  for (const [name, target] of Object.entries(targets)) {
    it(`${name}: nearly all that it takes, and few calls for nothing`, () => {
      for (const run of runs) {
        for (const instances of [1, 3]) {
          for (const retryAfter of retryAfters) {
            const calls = attempt(() => ({ ...target, retryAfter }), run, instances, 25_000)
            const what = label(run, instances, retryAfter)
            // What it does not know at first costs the slots of all instances once: that is in it.
            const { perSuccess } = measure(calls, 0, 25_000)
            expect(perSuccess, what).toBeLessThanOrEqual(1.15)
            const { rate } = measure(calls, 10_000, 25_000)
            expect(rate, what).toBeGreaterThanOrEqual(0.9 * allowed(target, run, instances))
            expect(perSuccess, what).toBeGreaterThan(1)
          }
        }
      }
    })
  }

  const tiny: Record<string, Target> = {
    "1 at once": { concurrency: 1 },
    "5 at once": { concurrency: 5 },
    "10 a second, from a bucket of as many": { rate: 10 },
    "10 in any second": { rate: 10, counting: "sliding" },
    "10 in each second of the clock": { rate: 10, counting: "fixed" }
  }
  for (const [name, target] of Object.entries(tiny)) {
    it(`${name}: one instance finds even that`, () => {
      for (const run of runs) {
        for (const retryAfter of retryAfters) {
          const calls = attempt(() => ({ ...target, retryAfter }), run, 1, 25_000)
          const { perSuccess, rate } = measure(calls, 10_000, 25_000)
          const what = label(run, 1, retryAfter)
          expect(perSuccess, what).toBeLessThanOrEqual(1.25)
          // So few runs are no longer close to their mean: 150 exponential ones are 8 % off as a rule.
          expect(rate, what).toBeGreaterThanOrEqual(0.75 * allowed(target, run, 1))
        }
      }
    })
  }

  it("50 a second from a bucket of 2, which says next to nothing at first: found within 5 s", () => {
    for (const run of runs) {
      for (const instances of [1, 3]) {
        const calls = attempt(() => ({ rate: 50, burst: 2 }), run, instances, 10_000)
        expect(measure(calls, 5_000, 10_000).rate, label(run, instances, 0)).toBeGreaterThanOrEqual(0.7 * 50)
      }
    }
  })

  it("follows a limit that falls from 50 to 10 at once within 2 s, and up to 80 within 10 s", () => {
    const target = (at: number): Target => ({ concurrency: at < 15_000 ? 50 : at < 30_000 ? 10 : 80 })
    for (const run of runs) {
      for (const instances of [1, 3]) {
        for (const retryAfter of retryAfters) {
          const calls = attempt((at) => ({ ...target(at), retryAfter }), run, instances, 45_000)
          const what = label(run, instances, retryAfter)
          const before = measure(calls, 10_000, 15_000)
          expect(before.rate, what).toBeGreaterThanOrEqual(0.9 * allowed(target(0), run, instances))
          expect(measure(calls, 17_000, 18_500).perSuccess, what).toBeLessThanOrEqual(1.25)
          const low = measure(calls, 17_000, 30_000)
          expect(low.perSuccess, what).toBeLessThanOrEqual(1.2)
          expect(low.rate, what).toBeGreaterThanOrEqual(0.9 * allowed(target(15_000), run, instances))
          const high = measure(calls, 40_000, 45_000)
          expect(high.perSuccess, what).toBeLessThanOrEqual(1.15)
          expect(high.rate, what).toBeGreaterThanOrEqual(0.9 * allowed(target(30_000), run, instances))
        }
      }
    }
  })
})
