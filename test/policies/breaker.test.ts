/** Breakers on the pure functions: the window against a naive one, the state under random sequences of several instances. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { InvocationErrorReason } from "../../src/domain/Invocation.ts"
import { InvocationError } from "../../src/domain/Invocation.ts"
import type { BreakerOptions, BreakerState, CallVerdict, Probe } from "../../src/policies/breaker.ts"
import {
  askToProbe,
  breakerAt,
  CallWindow,
  classifyInvocation,
  classifyWay,
  defaultBreakerOptions,
  encodeBreaker,
  parseBreaker,
  probed,
  trip
} from "../../src/policies/breaker.ts"
import { t0 } from "../support/builders.ts"

const options = defaultBreakerOptions

const opened = trip(undefined, t0, "HTTP 500", options) ?? expect.fail("it opens")

/** Asks for a probe that must be granted. */
const ask = (state: BreakerState, now: number, by: BreakerOptions = options) => {
  const asked = askToProbe(state, now, by)
  return { state: asked.state, probe: asked.probe ?? expect.fail(`no probe at ${now}`) }
}

const verdicts: ReadonlyArray<CallVerdict> = ["success", "failure", "ignored"]

describe("what a call says of its function", () => {
  /** All reasons: one that is new does not compile until it is here. */
  const said: Record<InvocationErrorReason, CallVerdict> = {
    FunctionError: "success",
    GaveUp: "success",
    RetryRequested: "success",
    FunctionTimeout: "failure",
    ServiceError: "failure",
    NoAnswer: "failure",
    Throttled: "ignored",
    NotReady: "ignored",
    Unreachable: "ignored",
    TooLate: "ignored",
    MissingCredentials: "ignored",
    MissingRegion: "ignored",
    CredentialsRejected: "ignored",
    AccessDenied: "ignored",
    NotFound: "ignored",
    PayloadTooLarge: "ignored",
    Rejected: "ignored"
  }
  const failed = (reason: InvocationErrorReason) => new InvocationError({ reason, message: reason })

  for (const [reason, verdict] of Object.entries(said) as Array<[InvocationErrorReason, CallVerdict]>) {
    it(`${reason}: ${verdict}`, () => {
      expect(classifyInvocation(failed(reason))).toBe(verdict)
      expect(classifyWay(failed(reason)) === "failure").toBe(
        reason === "Unreachable" || reason === "MissingCredentials"
      )
    })
  }

  it("an answer is a success; what was interrupted or not made says nothing", () => {
    expect(classifyInvocation({ body: { text: "1", encoding: "utf8" } })).toBe("success")
    for (const result of ["Interrupted", "OwnerLost", undefined]) {
      expect([classifyInvocation(result), classifyWay(result)]).toEqual(["ignored", "ignored"])
    }
  })
})

describe("CallWindow", () => {
  it("opens as a naive one does that keeps the latest calls in a list", () => {
    const seen = { opens: 0, "too few": 0, "failures that are too old": 0, "failures that are overwritten": 0 }
    fc.assert(
      fc.property(
        fc.record({
          window: fc.integer({ min: 1, max: 12 }),
          windowAge: fc.oneof({ weight: 9, arbitrary: fc.nat(400) }, { weight: 1, arbitrary: fc.constant(Infinity) }),
          minimumCalls: fc.integer({ min: 1, max: 14 }),
          failureRate: fc.oneof(fc.constantFrom(0, 0.1, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true }))
        }),
        fc.array(fc.tuple(fc.boolean(), fc.nat(60)), { minLength: 1, maxLength: 60 }),
        (changes, calls) => {
          const { failureRate, minimumCalls, window, windowAge } = changes
          const looked = new CallWindow({ ...options, ...changes })
          const all: Array<{ readonly failed: boolean; readonly at: number }> = []
          const mustOpen = (among: typeof all) =>
            among.length >= minimumCalls && among.filter(({ failed }) => failed).length >= among.length * failureRate
          let now = t0
          for (const [failed, gap] of calls) {
            now += gap
            all.push({ failed, at: now })
            const latest = all.slice(-window)
            const young = latest.filter(({ at }) => at >= now - windowAge)
            const opens = failed && mustOpen(young)
            expect(looked.note(failed, now)).toBe(opens)
            if (opens) seen.opens++
            else if (failed && young.length < minimumCalls) seen["too few"]++
            if (failed && !opens && mustOpen(latest)) seen["failures that are too old"]++
            if (failed && !opens && mustOpen(all)) seen["failures that are overwritten"]++
          }
        }
      ),
      { numRuns: 2_000 }
    )
    for (const [what, times] of Object.entries(seen)) expect([what, times > 100]).toEqual([what, true])
  })

  it("by default: ten calls within a minute, half of which have failed", () => {
    const notes = (failures: ReadonlyArray<boolean>, gap: number) => {
      const window = new CallWindow(options)
      return failures.map((failed, index) => window.note(failed, t0 + index * gap))
    }
    const alternating = Array.from({ length: 10 }, (_, index) => index % 2 === 1)
    expect(notes(alternating, 1)).toEqual(alternating.map((_, index) => index === 9))
    expect(notes(alternating.map(() => true), 1)).toEqual(alternating.map((_, index) => index === 9))
    expect(notes(alternating.map(() => true), 6_666)).toEqual(alternating.map((_, index) => index === 9))
    expect(notes(alternating.map(() => true), 6_667)).toEqual(alternating.map(() => false))
  })
})

describe("a breaker", () => {
  it("opens for a second, for twice as long with each probe that fails, for half a minute at the most", () => {
    let state: BreakerState = opened
    const openFor: Array<number> = []
    for (let now = t0; openFor.length < 8;) {
      if (state?.state !== "open") return expect.fail("it is open")
      openFor.push(state.until - now)
      expect(askToProbe(state, state.until - 1, options)).toEqual({ state, probe: undefined })
      const asked = ask(state, state.until)
      now = state.until + 7
      state = probed(asked.state, asked.probe, "failure", now, options)
    }
    expect(openFor).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  })

  it("opens again by itself when a probe is not heard of", () => {
    const { state } = ask(opened, t0 + 1_000)
    expect(breakerAt(state, t0 + 10_999, options)).toEqual(state)
    expect(breakerAt(state, t0 + 11_000, options)).toMatchObject({ state: "open", round: 2, until: t0 + 13_000 })
    // However long nobody has looked.
    expect(ask(state, t0 + 1e9).probe).toEqual({ openedAt: t0, round: 2 })
  })

  it("is closed by a probe that succeeds late, and by none of an earlier opening", () => {
    const first = ask(opened, t0 + 1_000)
    const second = ask(first.state, t0 + 20_000)
    expect(probed(second.state, first.probe, "success", t0 + 20_001, options)).toBeUndefined()
    const again = trip(undefined, t0 + 30_000, "HTTP 503", options)
    expect(probed(again, first.probe, "success", t0 + 30_001, options)).toEqual(again)
  })

  it("does not open twice for one failure: that of a probe which was given up already changes nothing", () => {
    const first = ask(opened, t0 + 1_000)
    const second = ask(first.state, t0 + 20_000)
    expect(probed(second.state, first.probe, "failure", t0 + 20_001, options)).toEqual(second.state)
    expect(probed(second.state, first.probe, "ignored", t0 + 20_001, options)).toEqual(second.state)
  })

  it("gives a right back that was of no use", () => {
    const { probe, state } = ask(opened, t0 + 1_000)
    expect(askToProbe(state, t0 + 1_001, options).probe).toBeUndefined()
    const back = probed(state, probe, "ignored", t0 + 1_002, options)
    expect(ask(back, t0 + 1_003).state).toEqual(state)
  })

  it("that is closed needs no probe, and a second trip changes nothing of an open one", () => {
    expect(askToProbe(undefined, t0, options)).toEqual({ state: undefined, probe: undefined })
    expect(trip(opened, t0 + 500, "HTTP 503", options)).toEqual(opened)
  })
})

type Command =
  | { readonly does: "trip" | "ask" | "reset" }
  | { readonly does: "wait"; readonly millis: number }
  /** Waits until something changes by itself, or to the millisecond before. */
  | { readonly does: "await"; readonly early: number }
  | { readonly does: "end"; readonly which: number; readonly verdict: CallVerdict }

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Command>({ does: "trip" }) },
  { weight: 6, arbitrary: fc.constant<Command>({ does: "ask" }) },
  { weight: 1, arbitrary: fc.constant<Command>({ does: "reset" }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant("wait" as const), millis: fc.nat(150) }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant("await" as const), early: fc.nat(1) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant("end" as const),
      which: fc.nat(50),
      verdict: fc.constantFrom(...verdicts)
    })
  }
)

const anyOptions: fc.Arbitrary<BreakerOptions> = fc.record({
  openFor: fc.integer({ min: 1, max: 100 }),
  longestOpen: fc.integer({ min: 1, max: 1_000 }),
  probes: fc.integer({ min: 1, max: 3 }),
  probeDeadline: fc.integer({ min: 1, max: 200 })
}).map((some) => ({ ...options, ...some }))

/** What has come of a command must follow from what was there before it, and from what probes were granted. */
const check = (
  by: BreakerOptions,
  commands: ReadonlyArray<Command>,
  saw: (what: string) => void
): { readonly state: BreakerState; readonly now: number } => {
  let now = t0
  /** As it is stored, so that every step is one of another instance. */
  let text: string | undefined
  let unanswered: Array<Probe> = []
  const openFor = (round: number) => Math.min(by.longestOpen, by.openFor * 2 ** (round - 1))

  for (const command of commands) {
    const stored = parseBreaker(text)
    if (command.does === "wait") now += command.millis
    if (command.does === "await" && stored !== undefined) now = Math.max(now, stored.until - command.early)
    const before = breakerAt(stored, now, by)
    if (stored?.state === "half-open" && now >= stored.until) {
      saw("a deadline has passed")
      const round = stored.round + 1
      expect(before).toEqual({
        v: 1,
        state: "open",
        openedAt: stored.openedAt,
        reason: stored.reason,
        round,
        until: stored.until + openFor(round)
      })
    } else expect(before).toEqual(stored)

    const step = (): BreakerState => {
      if (command.does === "reset") return undefined
      if (command.does === "trip") {
        const after = trip(stored, now, `at ${now}`, by)
        const opened = { v: 1, state: "open", openedAt: now, reason: `at ${now}`, round: 1, until: now + openFor(1) }
        expect(after).toEqual(before ?? opened)
        return after
      }
      if (command.does === "ask") {
        const { probe, state } = askToProbe(stored, now, by)
        const { openedAt = 0, round = 0 } = before ?? {}
        const isOfThisRound = (one: Probe) => one.openedAt === openedAt && one.round === round
        const free = by.probes - unanswered.filter(isOfThisRound).length
        if (before === undefined || (before.state === "open" && now < before.until) || free === 0) {
          saw(before === undefined ? "closed" : free === 0 ? "all probes taken" : "open")
          expect({ probe, state }).toEqual({ probe: undefined, state: before })
          return state
        }
        saw("a probe is granted")
        expect(probe).toEqual({ openedAt, round })
        const until = before.state === "open" ? now + by.probeDeadline : before.until
        expect(state).toEqual({ ...before, state: "half-open", until, probes: by.probes - free + 1 })
        unanswered.push(probe as Probe)
        return state
      }
      const probe = command.does === "end" ? unanswered[command.which % Math.max(1, unanswered.length)] : undefined
      if (probe === undefined || command.does !== "end") return before
      unanswered = unanswered.filter((one) => one !== probe)
      const after = probed(stored, probe, command.verdict, now, by)
      if (before === undefined || probe.openedAt !== before.openedAt) {
        saw("of an earlier opening")
        expect(after).toEqual(before)
      } else if (command.verdict === "success") {
        saw(probe.round < before.round ? "a late success" : "a success")
        expect(after).toBeUndefined()
      } else if (probe.round < before.round) {
        saw("of an earlier round")
        expect(after).toEqual(before)
      } else if (command.verdict === "failure") {
        saw(openFor(before.round + 1) === by.longestOpen ? "open for longest" : "a failure")
        const { openedAt, reason, round } = before
        const until = now + openFor(round + 1)
        expect(after).toEqual({ v: 1, state: "open", openedAt, reason, round: round + 1, until })
      } else saw("a right is given back")
      return after
    }
    const after = step()
    text = encodeBreaker(after)
    expect(parseBreaker(text)).toEqual(after)
    if (after?.state !== "half-open") continue
    const inFlight = unanswered.filter((one) => one.openedAt === after.openedAt && one.round === after.round).length
    expect(after.probes).toBe(inFlight)
    expect(inFlight).toBeLessThanOrEqual(by.probes)
    expect(after.until).toBeGreaterThan(now)
    expect(after.until).toBeLessThanOrEqual(now + by.probeDeadline)
  }
  return { state: parseBreaker(text), now }
}

describe("the state that instances share (I31)", () => {
  it("under any sequence: no probe while open, no more of them than may be, never half-open for long", () => {
    const seen = new Map<string, number>()
    fc.assert(
      fc.property(anyOptions, fc.array(anyCommand, { minLength: 1, maxLength: 60, size: "max" }), (by, commands) => {
        const { now, state } = check(by, commands, (what) => seen.set(what, (seen.get(what) ?? 0) + 1))
        // From wherever it is, one that works again is called again: who asks when it may gets a probe, which closes it.
        const current = breakerAt(state, state?.until ?? now, by)
        if (current === undefined) return
        const at = Math.max(now, current.until)
        const asked = ask(state, at, by)
        expect(probed(asked.state, asked.probe, "success", at + 1e9, by)).toBeUndefined()
      }),
      { numRuns: 2_000 }
    )
    const must = [
      "closed",
      "open",
      "a probe is granted",
      "all probes taken",
      "a deadline has passed",
      "a success",
      "a late success",
      "a failure",
      "open for longest",
      "a right is given back",
      "of an earlier round",
      "of an earlier opening"
    ]
    for (const what of must) expect([what, (seen.get(what) ?? 0) > 50]).toEqual([what, true])
  })
})

describe("what a call says of the way to Lambda", () => {
  it.each<[reason: InvocationErrorReason, verdict: CallVerdict]>([
    ["Unreachable", "failure"],
    ["MissingCredentials", "failure"],
    // Nothing was sent, or nothing came back: it tells nothing of the way.
    ["TooLate", "ignored"],
    ["MissingRegion", "ignored"],
    ["NoAnswer", "ignored"],
    // Whatever was answered, it got through.
    ["ServiceError", "success"],
    ["Throttled", "success"],
    ["NotFound", "success"],
    ["FunctionError", "success"]
  ])("%s: %s", (reason, verdict) => {
    expect(classifyWay(new InvocationError({ reason, message: "" }))).toBe(verdict)
  })

  it("a result got through; a call that was not made, or was interrupted, says nothing", () => {
    const result = { body: { text: "", encoding: "utf8" }, requestId: "", executedVersion: "", logTail: "" } as const
    expect([result, undefined, "Interrupted"].map(classifyWay)).toEqual(["success", "ignored", "ignored"])
  })
})

describe("a stored breaker", () => {
  const anyOpening = {
    v: fc.constant(1 as const),
    openedAt: fc.integer(),
    reason: fc.string({ unit: "binary" }),
    round: fc.integer({ min: 1 }),
    until: fc.integer()
  }
  const anyState: fc.Arbitrary<BreakerState> = fc.oneof(
    fc.constant(undefined),
    fc.record({ ...anyOpening, state: fc.constant("open" as const) }),
    fc.record({ ...anyOpening, state: fc.constant("half-open" as const), probes: fc.nat(5) })
  )

  it("is read as it was written", () => {
    fc.assert(
      fc.property(anyState, (state) => {
        expect(parseBreaker(encodeBreaker(state))).toEqual(state)
      }),
      { numRuns: 1_000 }
    )
    expect(parseBreaker(encodeBreaker(undefined))).toBeUndefined()
  })

  it("counts as closed where it cannot be understood: of a later version, cut off, or anything else", () => {
    const text = encodeBreaker(ask(opened, t0 + 1_000).state)
    const cut = fc.nat(text.length - 1).map((length) => text.slice(0, length))
    const other = fc.record({
      of: fc.constantFrom("v", "state", "openedAt", "round", "until"),
      is: fc.oneof(fc.jsonValue(), fc.constant({ toString: 0 }))
    })
      .filter(({ is, of }) => of === "v" ? is !== 1 : of === "state" ? is !== "open" : typeof is !== "number")
      .map(({ is, of }) => JSON.stringify({ ...opened, [of]: is }))
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), cut, other), (garbage) => {
        expect(parseBreaker(garbage)).toBeUndefined()
      }),
      { numRuns: 2_000 }
    )
  })
})
