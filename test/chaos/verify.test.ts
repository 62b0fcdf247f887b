/** The checks of a history, on made-up ones: what is right passes, and every rule refuses what it is there for. */
import { describe, expect, it } from "@effect/vitest"
import type { AttemptOutcome } from "../../src/domain/Invocation.ts"
import type { EndpointLine, History, ScheduleRow, TaskRow, Verdict } from "./History.ts"
import { EndpointLine as Line, parseLines } from "./History.ts"
import type { Ending } from "./verify.ts"
import { verify, verifyTakeovers } from "./verify.ts"

const t0 = 1_800_000_000_000

const aRow = (id: string, outcomes: ReadonlyArray<AttemptOutcome | null>, fields: Partial<TaskRow> = {}): TaskRow => ({
  id,
  name: `ask of ${id}`,
  status: outcomes.at(-1) === "succeeded" ? "Succeeded" : "Failed",
  owner: null,
  scheduleId: null,
  nominalAt: t0,
  dueAt: t0,
  attempts: outcomes.map((outcome, index) => ({ number: index + 1, outcome })),
  skip: null,
  ...fields
})

/** An attempt of 100 ms; without a verdict it has no answer. */
const sent = (taskId: string, attempt: number, from: number, verdict?: Verdict): ReadonlyArray<EndpointLine> => {
  const line = { function: "quick", taskId, attempt, idempotencyKey: taskId }
  const arrival: EndpointLine = { ...line, t: t0 + from, kind: "arrival" }
  return verdict === undefined
    ? [arrival]
    : [arrival, { ...line, t: t0 + from + 100, kind: "answer", verdict, delivered: true }]
}

const aHistory = (
  tasks: ReadonlyArray<TaskRow>,
  endpoint: ReadonlyArray<EndpointLine>,
  fields: Partial<History> = {}
): History => ({
  asked: tasks.map(({ name }) => ({ ask: name, due: null })),
  acknowledged: tasks.map(({ id, name }) => ({ ask: name, id })),
  endpoint,
  tasks,
  schedules: [],
  living: new Set(["alive"]),
  now: t0 + 10_000,
  maxAttempts: 3,
  ...fields
})

const rulesBroken = (history: History) => [...new Set(verify(history).map(({ rule }) => rule))]

const succeeded = aRow("a", ["succeeded"])

/** Every second from `t0` to `cursor`. */
const aSchedule = (cursor: number, fields: Partial<ScheduleRow> = {}): ScheduleRow => ({
  id: "s",
  name: "ticks",
  recurrence: { _tag: "Fixed", v: 1, interval: 1_000, anchor: t0 },
  cursor: t0 + cursor,
  missed: 0,
  ...fields
})

const ticks = (...schedules: ReadonlyArray<ScheduleRow>) => ({ schedules, asked: [{ ask: "ticks", due: null }] })

describe("a history that is as promised", () => {
  it("may be empty", () => {
    expect(verify(aHistory([], []))).toEqual([])
  })

  it("has runs after failures, throttles and attempts of which nobody knows", () => {
    const tasks = [
      succeeded,
      aRow("b", ["failed", "throttled", "succeeded"]),
      aRow("c", ["unknown", "unknown", "succeeded"]),
      aRow("d", ["unknown", "notSent", "failed", "failed"]),
      aRow("e", ["unknown", "unknown", "unknown"])
    ]
    const endpoint = [
      sent("a", 1, 0, "success"),
      sent("b", 1, 0, "error"),
      sent("b", 2, 200, "throttle"),
      sent("b", 3, 400, "success"),
      // The first was answered to somebody who was gone, the second was never answered.
      sent("c", 1, 0, "success"),
      sent("c", 2, 50),
      sent("c", 3, 400, "success"),
      // The first never left.
      sent("d", 3, 400, "error"),
      sent("d", 4, 600, "error"),
      sent("e", 2, 10, "reset")
    ].flat()
    expect(verify(aHistory(tasks, endpoint))).toEqual([])
  })

  it("has occurrences, unanswered asks, refused ones that are stored all the same, and work of the future", () => {
    const tasks = [
      aRow("o1", ["succeeded"], { name: "ticks", scheduleId: "s" }),
      aRow("o2", ["succeeded"], { name: "ticks", scheduleId: "s", nominalAt: t0 + 1_000 }),
      aRow("o3", [], {
        name: "ticks",
        scheduleId: "s",
        nominalAt: t0 + 2_000,
        status: "Skipped",
        skip: { reason: "overlap", count: 1 }
      }),
      aRow("late", [], {
        name: "ticks",
        scheduleId: "s",
        nominalAt: t0 + 3_000,
        status: "Skipped",
        skip: { reason: "catchUp", count: 17 }
      }),
      aRow("o4", [], {
        name: "ticks",
        scheduleId: "s",
        nominalAt: t0 + 20_000,
        dueAt: t0 + 20_000,
        status: "Scheduled",
        owner: "alive"
      }),
      aRow("u", ["succeeded"], { name: "unanswered" })
    ]
    const endpoint = [sent("o1", 1, 0, "success"), sent("o2", 1, 1_000, "success"), sent("u", 1, 0, "success")].flat()
    const asked = [
      { ask: "ticks", due: null },
      { ask: "unanswered", due: t0 },
      { ask: "never stored", due: t0 }
    ]
    const schedules = [aSchedule(20_000, { missed: 17 })]
    expect(verify(aHistory(tasks, endpoint, { asked, acknowledged: [{ ask: "ticks", id: "s" }], schedules }))).toEqual(
      []
    )
  })
})

describe("a history that is not", () => {
  it("lost: acknowledged, and not in the store", () => {
    expect(rulesBroken(aHistory([], [], { acknowledged: [{ ask: "x", id: "gone" }] }))).toEqual(["lost"])
  })

  it("phantom: not asked for, stored twice, or invoked without a row", () => {
    expect(rulesBroken(aHistory([succeeded], sent("a", 1, 0, "success"), { asked: [] }))).toEqual(["phantom"])
    const again = aRow("b", ["succeeded"], { name: succeeded.name })
    const both = [...sent("a", 1, 0, "success"), ...sent("b", 1, 0, "success")]
    expect(rulesBroken(aHistory([succeeded, again], both))).toEqual(["phantom"])
    expect(rulesBroken(aHistory([], sent("a", 1, 0, "success")))).toEqual(["phantom"])
  })

  it("phantom: a schedule nobody asked for, one stored twice, an occurrence of none or stored twice", () => {
    const occurrence = (id: string) => aRow(id, ["succeeded"], { name: "ticks", scheduleId: "s" })
    const one = sent("o1", 1, 0, "success")
    const both = [...one, ...sent("o2", 1, 200, "success")]
    expect(rulesBroken(aHistory([occurrence("o1")], one, { schedules: [aSchedule(0)], asked: [] }))).toEqual([
      "phantom"
    ])
    const second = aSchedule(0, { id: "s2", missed: 1 })
    expect(rulesBroken(aHistory([occurrence("o1")], one, ticks(aSchedule(0), second)))).toContain("phantom")
    expect(rulesBroken(aHistory([occurrence("o1")], one))).toEqual(["phantom"])
    expect(rulesBroken(aHistory([occurrence("o1"), occurrence("o2")], both, ticks(aSchedule(0))))).toContain("phantom")
  })

  it("sent twice: one attempt number arrived two times", () => {
    const endpoint = [...sent("a", 1, 0, "success"), ...sent("a", 1, 500, "success")]
    expect(rulesBroken(aHistory([succeeded], endpoint))).toContain("sent twice")
  })

  it("unmarked: an attempt arrived that the store knows nothing of", () => {
    const endpoint = [...sent("a", 1, 0, "error"), ...sent("a", 2, 500, "success")]
    expect(rulesBroken(aHistory([aRow("a", ["failed"])], endpoint))).toEqual(["unmarked"])
  })

  it("ran again: after a success, or more often than failures and unknown attempts explain", () => {
    const endpoint = [...sent("a", 1, 0, "success"), ...sent("a", 2, 500, "success")]
    expect(rulesBroken(aHistory([aRow("a", ["succeeded", "succeeded"])], endpoint))).toEqual(["ran again"])
    // Said never to have left, and it did.
    expect(rulesBroken(aHistory([aRow("a", ["notSent", "succeeded"])], endpoint))).toEqual([
      "ran again",
      "wrong outcome"
    ])
  })

  it("overlap: the next attempt or occurrence came while the one before still ran and was to be answered", () => {
    const row = aRow("a", ["failed", "succeeded"])
    const attempts = [...sent("a", 1, 0, "error"), ...sent("a", 2, 50, "success")]
    expect(rulesBroken(aHistory([row], attempts))).toEqual(["overlap"])
    const occurrences = [
      aRow("o1", ["succeeded"], { name: "ticks", scheduleId: "s" }),
      aRow("o2", ["succeeded"], { name: "ticks", scheduleId: "s", nominalAt: t0 + 1_000 })
    ]
    const endpoint = [...sent("o1", 1, 950, "success"), ...sent("o2", 1, 1_000, "success")]
    expect(rulesBroken(aHistory(occurrences, endpoint, ticks(aSchedule(1_000))))).toEqual(["overlap"])
    const unknown = aRow("o1", ["unknown"], { name: "ticks", scheduleId: "s" })
    expect(rulesBroken(aHistory([unknown, ...occurrences.slice(1)], endpoint, ticks(aSchedule(1_000))))).toEqual([])
  })

  it("wrong outcome: the record says another thing than the endpoint", () => {
    expect(rulesBroken(aHistory([succeeded], []))).toEqual(["wrong outcome"])
    expect(rulesBroken(aHistory([succeeded], sent("a", 1, 0, "error")))).toEqual(["wrong outcome"])
    expect(rulesBroken(aHistory([aRow("a", ["failed"])], sent("a", 1, 0, "success")))).toEqual(["wrong outcome"])
    expect(rulesBroken(aHistory([aRow("a", ["throttled"])], sent("a", 1, 0)))).toEqual(["wrong outcome"])
    expect(rulesBroken(aHistory([aRow("a", ["notSent"])], sent("a", 1, 0)))).toEqual(["wrong outcome"])
    const claimed = aRow("a", ["unknown"], { status: "Succeeded" })
    expect(rulesBroken(aHistory([claimed], sent("a", 1, 0, "success")))).toEqual(["wrong outcome"])
    const denied = aRow("a", ["succeeded"], { status: "Failed" })
    expect(rulesBroken(aHistory([denied], sent("a", 1, 0, "success")))).toEqual(["wrong outcome"])
  })

  it("early: before the instant asked for, or the one stored", () => {
    const tooSoon = sent("a", 1, 0, "success")
    const asked = (due: number) => ({ asked: [{ ask: succeeded.name, due: t0 + due }] })
    expect(rulesBroken(aHistory([succeeded], tooSoon, asked(1)))).toEqual([])
    expect(rulesBroken(aHistory([succeeded], tooSoon, asked(2)))).toEqual(["early"])
    expect(rulesBroken(aHistory([aRow("a", ["succeeded"], { nominalAt: t0 + 2 })], tooSoon))).toEqual(["early"])
  })

  it("stuck: running, due, or owned by the dead", () => {
    const left = (fields: Partial<TaskRow>) => rulesBroken(aHistory([aRow("a", [], { ...fields })], []))
    expect(left({ status: "Running", owner: "alive", attempts: [{ number: 1, outcome: null }] })).toEqual(["stuck"])
    expect(left({ status: "Scheduled", dueAt: t0 + 10_000 })).toEqual(["stuck"])
    expect(left({ status: "Scheduled", dueAt: t0 + 20_000, owner: "dead" })).toEqual(["stuck"])
    expect(left({ status: "Scheduled", dueAt: t0 + 20_000, owner: "alive" })).toEqual([])
  })

  it("numbering and overspent: a gap, a repetition, one attempt too many", () => {
    const attempts = (...numbers: ReadonlyArray<number>) =>
      aRow("a", [], { attempts: numbers.map((number) => ({ number, outcome: "unknown" })) })
    expect(rulesBroken(aHistory([attempts(1, 3)], []))).toEqual(["numbering"])
    expect(rulesBroken(aHistory([attempts(1, 1)], []))).toEqual(["numbering"])
    expect(rulesBroken(aHistory([attempts(1, 2, 3, 4)], []))).toEqual(["overspent"])
    expect(rulesBroken(aHistory([aRow("a", ["notSent", "unknown", "unknown", "unknown"])], []))).toEqual([])
  })
})

describe("the occurrences of a schedule that is not kept", () => {
  const at = (...instants: ReadonlyArray<number>) =>
    instants.map((instant) =>
      aRow(`o${instant}`, [], { name: "ticks", scheduleId: "s", nominalAt: t0 + instant, status: "Cancelled" })
    )
  const broken = (rows: ReadonlyArray<TaskRow>, schedule: ScheduleRow) =>
    verify(aHistory(rows, [], ticks(schedule))).map(({ what }) => what.replace("TaskSchedule s (ticks) ", ""))

  it("fixed: one is missing, one too many, off its instants, or not the latest", () => {
    expect(broken(at(0, 1_000, 2_000), aSchedule(2_000))).toEqual([])
    expect(broken(at(0, 2_000), aSchedule(2_000))).toEqual(["tells of 2 occurrences; 3 were due"])
    expect(broken(at(0, 1_001, 2_000), aSchedule(2_000))).toEqual([
      `has an occurrence at ${t0 + 1_001}, which is none of its instants`
    ])
    expect(broken(at(0, 1_000), aSchedule(2_000))).toEqual([
      `stands at ${t0 + 2_000}, its latest occurrence is at ${t0 + 1_000}`,
      "tells of 2 occurrences; 3 were due"
    ])
  })

  it("fixed: what was missed is told of, and its number is kept", () => {
    const passedOver = (at: number, count: number, reason = "catchUp") =>
      aRow(`o${at}`, [], {
        name: "ticks",
        scheduleId: "s",
        nominalAt: t0 + at,
        status: "Skipped",
        skip: { reason, count }
      })
    const rows = (count: number, reason?: string) => [...at(0), passedOver(1_000, count, reason), ...at(4_000)]
    expect(broken(rows(3), aSchedule(4_000, { missed: 3 }))).toEqual([])
    expect(broken(rows(2), aSchedule(4_000, { missed: 2 }))).toEqual(["tells of 4 occurrences; 5 were due"])
    expect(broken(rows(3), aSchedule(4_000))).toEqual(["has missed 0 and tells of 3"])
    expect(broken(rows(3, "paused"), aSchedule(4_000))).toEqual([])
    expect(broken(rows(3, "overlap"), aSchedule(4_000, { missed: 3 }))).toEqual(["has missed 3 and tells of 0"])
  })

  it("spaced: two are too close, or the latest is another", () => {
    const spaced = (cursor: number) => aSchedule(cursor, { recurrence: { _tag: "Spaced", v: 1, interval: 1_000 } })
    expect(broken(at(0, 1_300, 2_800), spaced(2_800))).toEqual([])
    expect(broken(at(0, 1_300, 2_200), spaced(2_200))).toHaveLength(1)
    expect(broken(at(0, 1_300), spaced(2_800))).toHaveLength(1)
  })
})

describe("takeovers", () => {
  const lease = 1_000
  const anEnding = (fields: Partial<Ending> = {}): Ending => ({
    worker: "w1",
    instances: ["dead"],
    endedAt: t0,
    lastHeldAt: t0 + 1_900,
    freedAt: t0 + 2_100,
    held: [{ id: "a", dueAt: t0 + 500, started: false }],
    ...fields
  })
  /** Every quarter of a second, between these instants. */
  const beats = (from: number, to: number) =>
    Array.from({ length: (to - from) / 250 + 1 }, (_, index) => t0 + from + index * 250)
  const well = beats(-500, 9_000)
  const broken = (
    endings: ReadonlyArray<Ending>,
    arrivedAt: number,
    another: ReadonlyArray<number> = well,
    ordinary: ReadonlyArray<EndpointLine> = []
  ) => {
    const heartbeats = new Map([["dead", well], ["another", another]])
    const history = aHistory([aRow("a", ["succeeded"]), aRow("b", ["succeeded"])], [
      ...sent("a", 1, arrivedAt),
      ...ordinary
    ])
    return verifyTakeovers({ endings, heartbeats }, history, lease).map(({ what }) => what)
  }

  it("in time: free within the lease and a second, and what is due later is on time", () => {
    expect(broken([anEnding()], 2_000)).toEqual([])
    expect(broken([anEnding({ lastHeldAt: undefined })], 2_000)).toEqual([])
    expect(broken([anEnding({ held: [{ id: "a", dueAt: t0 + 5_000, started: false }] })], 6_000)).toEqual([])
  })

  it("late: still held, late to arrive, never free or never arrived", () => {
    expect(broken([anEnding({ lastHeldAt: t0 + 2_001 })], 2_000)).toEqual([
      "Something was held by dead 2001 ms after its end"
    ])
    expect(broken([anEnding()], 2_001)).toEqual([
      "a, held by dead and due 500 ms after its end, arrived 2001 ms after its end"
    ])
    expect(broken([anEnding({ held: [{ id: "a", dueAt: t0 + 5_000, started: false }] })], 6_001)).toHaveLength(1)
    expect(broken([anEnding({ freedAt: undefined })], 2_000)).toEqual(["Something was held by dead in the end"])
    expect(broken([anEnding()], -1)).toEqual(["a, held by dead and due 500 ms after its end, never arrived"])
  })

  it("not late while there was nobody else, or nobody who could", () => {
    const late = anEnding({ lastHeldAt: t0 + 2_900 })
    expect(broken([late], 3_000, [...beats(-500, 500), ...beats(1_200, 9_000)])).toHaveLength(2)
    expect(broken([late], 3_000, [...beats(-500, 500), ...beats(1_201, 9_000)])).toEqual([])
    // Ended itself, or came later.
    expect(broken([late], 3_000, beats(-500, 1_500))).toHaveLength(2)
    expect(broken([late], 3_000, beats(-500, 1_250))).toEqual([])
    expect(broken([late], 3_000, beats(0, 9_000))).toHaveLength(2)
    expect(broken([late], 3_000, beats(250, 9_000))).toEqual([])
    expect(broken([late], 3_000, [])).toEqual([])
    // Then it has to be taken over all the same.
    expect(broken([anEnding({ freedAt: undefined })], -1, [])).toHaveLength(2)
  })

  it("not later than everything else is at that time", () => {
    expect(broken([anEnding()], 2_300, well, sent("b", 1, 300))).toEqual([])
    expect(broken([anEnding()], 2_301, well, sent("b", 1, 300))).toHaveLength(1)
    expect(broken([anEnding()], 2_300, well, sent("b", 1, 2_301))).toHaveLength(1)
    expect(broken([anEnding({ worker: "ask of b" })], 2_300, well, sent("b", 1, 300))).toHaveLength(1)
  })

  it("counts from the last of several that held it", () => {
    const second = anEnding({
      instances: ["dead too"],
      endedAt: t0 + 1_500,
      lastHeldAt: t0 + 3_000,
      freedAt: t0 + 3_100
    })
    expect(broken([anEnding(), second], 3_500)).toEqual([])
    expect(broken([anEnding(), second], 3_501)).toHaveLength(1)
    const started = { ...second, held: [{ id: "a", dueAt: t0 + 500, started: true }] }
    expect(broken([anEnding(), started], 9_000)).toEqual([])
  })
})

it("a line that its writer could not finish is passed over, any other damage is not", () => {
  const [line] = sent("a", 1, 0)
  const text = JSON.stringify(line)
  expect(parseLines(Line, `${text}\n${text}\n`)).toEqual([line, line])
  expect(parseLines(Line, `${text}\n${text.slice(0, -9)}`)).toEqual([line])
  expect(parseLines(Line, text)).toEqual([line])
  expect(() => parseLines(Line, `${text.slice(0, -9)}\n${text}\n`)).toThrow()
})
