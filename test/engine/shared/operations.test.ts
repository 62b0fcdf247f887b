/**
 * Whatever operators do to schedules, in whatever order, on both stores in virtual time: made, edited, paused, run by hand,
 * backfilled, cancelled and removed, while processes come and go. What must hold is checked after every command against a
 * small reference (./operations/model.ts), the store and what the functions have seen. A failure names its seed and path:
 * `SEED=<n> SEED_PATH=<path> npx vitest run test/engine/shared/operations.test.ts -t <store>`; `RUNS=<n>` for more of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Config, Console, Effect, Option } from "effect"
import * as fc from "fast-check"
import { createHash } from "node:crypto"
import { afterAll, beforeAll, vi } from "vitest"
import { story } from "./operations/commands.ts"
import type { Story } from "./operations/commands.ts"
import { tell } from "./operations/driver.ts"
import { onMemory, onPostgres } from "./operations/sometimes.ts"

const asked = Effect.runSync(Config.all({
  seed: Config.option(Config.integer("SEED")),
  path: Config.option(Config.string("SEED_PATH")),
  runs: Config.option(Config.integer("RUNS"))
}))
const isUsual = Option.isNone(asked.seed) && Option.isNone(asked.path) && Option.isNone(asked.runs)

const longest = 600_000

interface Property {
  readonly runs: number
  readonly seed: number
  /** How many commands a story has at the most. */
  readonly commands: number
}

const assertAll = ({ commands, runs, seed }: Property, tellOne: (story: Story) => Promise<unknown>) =>
  fc.assert(
    fc.asyncProperty(story(commands), async (drawn) => {
      await tellOne(drawn)
    }),
    {
      numRuns: Option.getOrElse(asked.runs, () => runs),
      seed: Option.getOrElse(asked.seed, () => seed),
      ...(Option.isSome(asked.path) ? { path: asked.path.value, endOnFailure: true } : {}),
      // A failure is told of, also if there is no time left to make it smaller.
      interruptAfterTimeLimit: longest / 2,
      markInterruptAsFailure: true
    }
  )

/** What happened how often in all stories of a property. */
class Sometimes {
  private readonly seen = new Map<string, number>()

  readonly note = (what: string): void => {
    this.seen.set(what, this.of(what) + 1)
  }

  of(what: string): number {
    return this.seen.get(what) ?? 0
  }

  /** One seed alone, asked for by hand, does not reach everything. */
  assert(store: string, steps: number, all: ReadonlyArray<string>): void {
    Effect.runSync(Console.log(`${store}: ${this.of("step")} commands, ${this.of("call")} calls`))
    if (!isUsual) return
    assert.deepStrictEqual(all.filter((what) => this.of(what) === 0), [], "did not happen")
    assert.isAtLeast(this.of("step"), steps)
  }
}

// What is asked for under an id has a digest, and Node makes that in a thread: virtual time must not pass it by.
beforeAll(() => {
  vi.spyOn(globalThis.crypto.subtle, "digest").mockImplementation(async (_, data) => {
    const bytes = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data)
    return new Uint8Array(createHash("sha256").update(bytes).digest()).buffer
  })
})
afterAll(() => {
  vi.restoreAllMocks()
})

describe("operations on schedules", () => {
  it("hold what they promise, on memory", async () => {
    const sometimes = new Sometimes()
    await assertAll(
      { runs: 100, seed: 11, commands: 60 },
      (story) => tell("memory", story, { losesLeases: false, busiest: 30, note: sometimes.note })
    )
    sometimes.assert("On memory", 3_000, onMemory)
  }, longest)

  it("hold what they promise, on PostgreSQL, though leases are lost", async () => {
    const sometimes = new Sometimes()
    await assertAll(
      { runs: 8, seed: 20_270_610, commands: 30 },
      (story) => tell("PostgreSQL", story, { losesLeases: true, busiest: 10, note: sometimes.note })
    )
    sometimes.assert("On PostgreSQL", 120, onPostgres)
  }, longest)

  it("come to the same history on both stores", async () => {
    const sometimes = new Sometimes()
    const options = { losesLeases: false, busiest: 10, note: sometimes.note }
    await assertAll({ runs: 4, seed: 20_270_403, commands: 30 }, async (story) => {
      const first = await tell("memory", story, options)
      const second = await tell("PostgreSQL", story, options)
      for (const part of ["answers", "schedules", "tasks", "calls"] as const) {
        const differs = first[part].findIndex((each, index) => each !== second[part][index])
        assert.strictEqual(second[part][differs], first[part][differs], `I26: ${part}`)
        assert.lengthOf(second[part], first[part].length, `I26: ${part}`)
      }
    })
    sometimes.assert("On both", 80, [])
  }, longest)
})
