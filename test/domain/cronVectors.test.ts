import { describe, expect, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { parseCron } from "../../src/domain/CronExpression.ts"
import { refused } from "../support/verdicts.ts"
import type { VectorFile, Verdict } from "./cronVectors.ts"
import {
  judgeFile,
  judgeInvalid,
  judgeMatch,
  judgeProbe,
  judgeVector,
  judgeVectorUnder,
  settingsOf
} from "./cronVectors.ts"

const { invalid = [], matches = [], monotonicityProbes = [], vectors = [] } = JSON.parse(
  readFileSync(new URL("../fixtures/cron.json", import.meta.url), "utf8")
) as VectorFile

/** The rows that are not right, with the reason. */
const faults = <Row>(rows: ReadonlyArray<Row>, judge: (row: Row) => Verdict) => {
  expect(rows).not.toHaveLength(0)
  return rows.map((row) => ({ row, verdict: judge(row) })).filter(({ verdict }) => verdict._tag !== "Right")
}

const allSettings = (["run-after", "skip", "shift"] as const).flatMap((gap) =>
  (["default", "once", "both"] as const).map((overlap) => ({ gap, overlap }))
)

describe("what other projects' tests expect", () => {
  it("of the recommended rule is what ours answers by default", () => {
    expect(faults(vectors.filter(({ recommended }) => recommended), judgeVector)).toEqual([])
  })

  it("of other rules is what ours answers where it offers them", () => {
    const others = vectors.filter((vector) => vector.recommended !== true && settingsOf(vector).length > 0)
    expect(faults(others, judgeVector)).toEqual([])
  })

  it("of every rule is what ours answers under all settings", () => {
    const core = vectors.filter(({ tier }) => tier === "core" || tier === "core-ext")
    for (const settings of allSettings) {
      expect(faults(core, (vector) => judgeVectorUnder(vector, settings))).toEqual([])
    }
  })

  it("never to match does not", () => expect(faults(matches, judgeMatch)).toEqual([]))

  it("and gets from other libraries as an instant of before, comes later from ours", () => {
    expect(faults(monotonicityProbes, judgeProbe)).toEqual([])
  })
})

describe("what all of them refuse", () => {
  it("is refused", () => expect(faults(invalid, judgeInvalid)).toEqual([]))

  const names = "second|minute|hour|day of month|month|day of week"
  for (const { expr } of invalid.filter(({ unanimous }) => unanimous)) {
    it(JSON.stringify(expr), () => {
      const { field, message, reason } = refused(parseCron(expr))
      expect(field).toBe("cron")
      expect(reason).toMatch(/^Cron(Fields|Range|Invalid|Unsupported)$/)
      expect(message).toMatch(/expected .+, got /)
      if (reason !== "CronFields" && !expr.startsWith("@")) expect(message).toMatch(new RegExp(`^cron: (${names}): `))
    })
  }
})

describe("the judge", () => {
  it("tells right from wrong, and from what is not offered", () => {
    const daily = { expr: "0 9 * * *", after: "2026-01-01T00:00:00Z" }
    const tags = (file: VectorFile) => judgeFile(file).map(([, { _tag }]) => _tag)
    expect(tags({})).toEqual([])
    expect(tags({
      vectors: [
        { ...daily, expected: ["2026-01-01T09:00:00.000Z", "2026-01-02T10:00:00+01:00"] },
        { ...daily, expected: ["2026-01-01T09:00:01Z"] },
        { ...daily, tz: "Asia/Tokyo", expected: ["2026-01-02T00:00:00Z"] },
        { ...daily, expected: [], never: true },
        { ...daily, after: "?" },
        { ...daily, expr: "0 0 30 2 *", never: true },
        { ...daily, expr: "0 25 * * *", expected: ["2026-01-01T09:00:00Z"] },
        { ...daily, tz: "Mars/Olympus", expected: ["2026-01-01T09:00:00Z"] },
        { ...daily, recommended: false, holdsUnder: { gap: ["end"] }, expected: ["2026-01-01T09:00:00Z"] },
        { ...daily, recommended: false, holdsUnder: { overlap: ["both"] }, expected: ["2026-01-01T09:00:00Z"] }
      ]
    })).toEqual(["Right", "Wrong", "Right", "Wrong", "Wrong", "Right", "Refused", "Refused", "Refused", "Right"])
    expect(tags({
      invalid: [{ expr: "60 * * * *", unanimous: true }, { expr: "0 9 * * *", unanimous: true }, {
        expr: "0 9 * * *",
        unanimous: false
      }],
      matches: [
        { expr: "0 9 * * *", at: "2026-01-01T09:00:00Z", matches: true },
        { expr: "0 9 * * *", at: "2026-01-01T09:00:00Z", matches: false }
      ],
      monotonicityProbes: [daily],
      peerBugs: [daily]
    })).toEqual(["Right", "Wrong", "Right", "Right", "Wrong", "Right", "Right"])
  })
})
