/**
 * Whatever operators do to schedules, in whatever order, on both stores in virtual time: made, edited, paused, run by hand,
 * backfilled, cancelled and removed, while processes come and go. What must hold is checked after every command against a
 * small reference (./operations/model.ts), the store and the log of invocations. A failure names its seed and path:
 * `SEED=<n> SEED_PATH=<path> npx vitest run test/engine/shared/operations.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Config, Effect, Option } from "effect"
import * as fc from "fast-check"
import { createHash } from "node:crypto"
import { afterAll, beforeAll, vi } from "vitest"
import { story } from "./operations/commands.ts"
import type { Story } from "./operations/commands.ts"
import { tell } from "./operations/driver.ts"

const asked = Effect.runSync(Config.all({
  seed: Config.option(Config.integer("SEED")),
  path: Config.option(Config.string("SEED_PATH")),
  runs: Config.option(Config.integer("RUNS"))
}))

const runs = (usual: number) => Option.getOrElse(asked.runs, () => usual)
const parameters = (usual: number, seed: number): fc.Parameters<[Story]> => ({
  numRuns: runs(usual),
  seed: Option.getOrElse(asked.seed, () => seed),
  ...(Option.isSome(asked.path) ? { path: asked.path.value } : {}),
  interruptAfterTimeLimit: 200_000,
  markInterruptAsFailure: true
})

// What is asked for under an id has a digest, and the one of Node takes a thread: virtual time must not pass it by.
beforeAll(() => {
  vi.spyOn(globalThis.crypto.subtle, "digest").mockImplementation(async (_, data) =>
    new Uint8Array(createHash("sha256").update(data as Uint8Array).digest()).buffer
  )
})
afterAll(() => {
  vi.restoreAllMocks()
})

const counter = () => {
  const seen = new Map<string, number>()
  return { seen, note: (what: string) => void seen.set(what, (seen.get(what) ?? 0) + 1) }
}

describe("operations on schedules", () => {
  it("hold what they promise, on memory", async () => {
    const { note, seen } = counter()
    await fc.assert(
      fc.asyncProperty(story(60), async (story) => {
        await tell("memory", story, { losesLeases: false, note })
      }),
      parameters(200, 20_270_401)
    )
    console.log([...seen].sort())
    assert.isAbove(seen.size, 0)
  }, 300_000)
})
