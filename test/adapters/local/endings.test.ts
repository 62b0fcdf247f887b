/** However the program ends, its functions end with it. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { existsSync } from "node:fs"
import { chmod, rm } from "node:fs/promises"
import { join } from "node:path"
import { eventually, isRunning } from "./support.ts"

const start = (ending: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--import", "tsx", join(import.meta.dirname, "fixtures/parent.ts"), ending], {
        cwd: join(import.meta.dirname, "../../.."),
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (parent) => Effect.sync(() => parent.kill("SIGKILL"))
  )

/** What the program prints: its function's process and its temporary folder. */
const printed = (parent: ChildProcess) =>
  Effect.async<readonly [pid: number, folder: string]>((resume) => {
    parent.stdout?.once(
      "data",
      (line: Buffer) => resume(Effect.succeed(JSON.parse(line.toString()) as [number, string]))
    )
  })

/** A killed program leaves its folder behind, with code that is read only. */
const remove = (folder: string) =>
  Effect.promise(async () => {
    await chmod(join(folder, "code/1"), 0o700)
    await rm(folder, { recursive: true })
  })

describe("when the program", () => {
  it.scopedLive("calls process.exit, its functions' processes and files are gone", () =>
    Effect.gen(function*() {
      const parent = yield* start("exit")
      const [pid, folder] = yield* printed(parent)
      yield* eventually("the process has ended", () => !isRunning(pid))
      yield* eventually("the folder is gone", () => !existsSync(folder))
    }))

  it.scopedLive("is killed, an idle process ends", () =>
    Effect.gen(function*() {
      const parent = yield* start("idle")
      const [pid, folder] = yield* printed(parent)
      expect(isRunning(pid)).toBe(true)
      parent.kill("SIGKILL")
      yield* eventually("the process has ended", () => !isRunning(pid))
      yield* remove(folder)
    }))

  // A busy one does not notice by itself; where the system has setpriv, the kernel tells it.
  it.scopedLive.skipIf(!existsSync("/usr/bin/setpriv"))("is killed, a busy process ends", () =>
    Effect.gen(function*() {
      const parent = yield* start("busy")
      const [pid, folder] = yield* printed(parent)
      expect(isRunning(pid)).toBe(true)
      parent.kill("SIGKILL")
      yield* eventually("the process has ended", () => !isRunning(pid))
      yield* remove(folder)
    }))
})
