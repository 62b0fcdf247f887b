/** The examples are run as their comments say, and print what they should. */
import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { env } from "node:process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const run = promisify(execFile)
const root = fileURLToPath(new URL("../..", import.meta.url))

/** What an example prints, without the lines of the log. */
const output = async (name: string, more: Record<string, string> = {}): Promise<ReadonlyArray<string>> => {
  const { stdout } = await run(process.execPath, ["--import", "tsx", `examples/${name}.ts`], {
    cwd: root,
    env: { ...env, ...more }
  })
  return stdout.trimEnd().split("\n").filter((line) => !line.startsWith("timestamp="))
}

it("schedule-once", async () => {
  assert.deepStrictEqual(await output("schedule-once"), [
    "scheduled: Scheduled",
    "result: { total: 42 }",
    "finally: Succeeded after 1 attempt"
  ])
})

it("recurring", async () => {
  const lines = await output("recurring")
  assert.strictEqual(lines.filter((line) => line === "ran: drum").length, 3)
  assert.include(lines, "ran: heart")
  assert.deepStrictEqual(lines.slice(-2), ["heart: Cancelled", "drum: Completed"])
})

it("month-end", async () => {
  assert.deepStrictEqual(await output("month-end"), [
    "39 runs. At 02:30, on the last day of the month (Europe/Stockholm)",
    "2027-10-31T02:30:00 first-pass, runs: 1",
    "2027-10-31T02:30:00 second-pass, runs: 0",
    "2030-03-31T03:00:00 made-up, runs: 1"
  ])
})

it("explain", async () => {
  const lines = await output("explain")
  assert.deepStrictEqual(lines.map((line) => line.slice(0, 20).trim()), [
    "08:10 ran",
    "08:30 overlap",
    "08:50 paused",
    "09:20 attemptsSpent",
    "09:40 functionPaused",
    "09:45 notNamed",
    "",
    "09:40 catchUp",
    "10:00 thisInstance",
    "10:10 notDue",
    "",
    "by hand: The occurre",
    "overrunsInterval: Ha"
  ])
  assert.include(lines.find((line) => line.startsWith("08:50")) ?? "", "by ada: the database moves")
})

it("durable", async () => {
  const directory = mkdtempSync(join(tmpdir(), "example-"))
  try {
    assert.deepStrictEqual(await output("durable", { DATA_DIR: join(directory, "postgres") }), [
      "sent the invoice of order A-1",
      "1 invoice for 1 order"
    ])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
