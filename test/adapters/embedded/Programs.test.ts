/** Who uses a server, as far as that cannot be seen from processes: programs of other containers and machines. */
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { existsSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Programs } from "../../../src/adapters/embedded/Programs.ts"
import { temporaryDirectory } from "./support.ts"

const entered = Effect.map(temporaryDirectory, (directory) => {
  const folder = join(directory, "programs")
  const programs = new Programs(folder)
  programs.enter()
  return { folder, programs }
})

/** Another container's program: its pid is one that is there, and means nothing. */
const elsewhere = (folder: string, ticket: number) => {
  const file = join(folder, `${process.pid}-0123456789ab-ba9876543210-01234567.${ticket}.using`)
  const beat = () => writeFileSync(file, "other-host")
  beat()
  // As if its last beat were this long ago: the file system keeps no test's time.
  const fallSilent = (seconds: number) => {
    const { mtimeMs } = statSync(file)
    utimesSync(file, mtimeMs / 1_000 - seconds, mtimeMs / 1_000 - seconds)
  }
  return { file, beat, fallSilent }
}

describe("a program of another container", () => {
  it.scoped("that goes on is not intruded upon", () =>
    Effect.gen(function*() {
      const { folder, programs } = yield* entered
      const { beat } = elsewhere(folder, 1)
      const turn = yield* Effect.fork(Effect.flip(programs.awaitTurn))
      for (let second = 0; second < 40; second++) {
        beat()
        yield* TestClock.adjust("1 second")
      }
      const error = yield* Fiber.join(turn)
      expect(error.reason).toBe("DirectoryInUse")
      expect(error.message).toContain("other-host")
    }))

  it.scoped("that leaves is waited for", () =>
    Effect.gen(function*() {
      const { folder, programs } = yield* entered
      const { fallSilent, file } = elsewhere(folder, 1)
      fallSilent(3)
      const turn = yield* Effect.fork(programs.awaitTurn)
      yield* TestClock.adjust("1 second")
      expect(turn.unsafePoll()).toBe(null)
      fallSilent(6)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(turn)
      // Killed, it could not take its mark along.
      expect(existsSync(file)).toBe(false)
    }))

  it.scoped("that came later waits for us", () =>
    Effect.gen(function*() {
      const { folder, programs } = yield* entered
      elsewhere(folder, 2)
      yield* programs.awaitTurn
      expect(programs.leave()).toBe(true)
    }))
})

describe("a program of this machine", () => {
  it.scoped("counts while its process lives", () =>
    Effect.gen(function*() {
      const { folder, programs } = yield* entered
      const other = new Programs(folder)
      other.enter()
      expect(programs.isAlone).toBe(false)
      expect(programs.leave()).toBe(false)
      // A process of an earlier time by the same pid.
      const [file = ""] = readdirSync(folder).filter((name) => name.startsWith(other.id))
      writeFileSync(join(folder, file.replace(/^(\d+)-\w+/, "$1-0123456789ab")), "")
      other.remove()
      expect(programs.isAlone).toBe(true)
    }))

  it.scopedLive("that is leaving is waited for", () =>
    Effect.gen(function*() {
      const { folder, programs } = yield* entered
      programs.leave()
      const next = new Programs(folder)
      next.enter()
      const turn = yield* Effect.fork(next.awaitTurn)
      yield* Effect.sleep("100 millis")
      expect(turn.unsafePoll()).toBe(null)
      programs.remove()
      yield* Fiber.join(turn)
    }))
})
