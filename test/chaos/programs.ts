/** Programs in processes of their own. */
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import { build, stop } from "esbuild"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { now } from "./chanceAndTime.ts"

/** A directory under the system's own for such, gone when the scope closes. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "scheduler-chaos-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

/** CommonJS packages within an ES module still ask for `require`. */
const banner =
  `import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);`

/**
 * Puts a program and all it needs into one file. Node starts that in 0.2 s; loading the modules one by one takes 1.5 s of
 * a processor, which a restart under load does not have. (A source map would triple the time.)
 *
 * @param program its path relative to this file
 */
export const bundle = (program: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.flatMap(temporaryDirectory, (directory) =>
    Effect.promise(async () => {
      const outfile = join(directory, "program.mjs")
      await build({
        entryPoints: [fileURLToPath(new URL(program, import.meta.url))],
        outfile,
        bundle: true,
        platform: "node",
        target: "node20",
        format: "esm",
        external: ["pg-native"],
        banner: { js: banner },
        logLevel: "error"
      })
      await stop()
      return outfile
    }))

/**
 * Leaves something to be done by the shell in case we are killed before the scope closes.
 *
 * @param argument what the command finds as `$0`
 */
export const ifWeAreKilled = (command: string, argument: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.acquireRelease(
    // Its input ends when we do, however that comes about.
    Effect.sync(() =>
      spawn("sh", ["-c", `cat; ${command}`, argument], { stdio: ["pipe", "ignore", "ignore"], detached: true })
    ),
    (guardian) =>
      Effect.sync(() => {
        guardian.kill()
        guardian.stdin.destroy()
      })
  )

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** When we learned of it, epoch milliseconds. */
  readonly at: number
}

export interface Program {
  readonly pid: number
  /** What it has written so far. */
  readonly output: () => string
  readonly ended: Effect.Effect<Ended>
  readonly hasEnded: () => boolean
  readonly kill: (signal: NodeJS.Signals) => void
  /** Hands a message over; one to a program that has ended is lost. */
  readonly tell: (message: unknown) => void
}

/** How much of what a program writes is kept. */
const outputKept = 100_000

/**
 * Starts a bundled program and waits for its first message, or for its end. When the scope closes it is killed, frozen or
 * not, and its end is waited for. It has nothing of our environment.
 *
 * @returns the program and its first message; `undefined` if it ended without one
 */
export const start = (
  file: string,
  environment: Readonly<Record<string, string>>
): Effect.Effect<readonly [program: Program, first: unknown], never, Scope.Scope> =>
  Effect.gen(function*() {
    const first = yield* Deferred.make<unknown>()
    const ended = yield* Deferred.make<Ended>()
    const program = yield* Effect.acquireRelease(
      Effect.sync((): Program => {
        const child = spawn(process.execPath, [file], {
          env: { PATH: "/usr/local/bin:/usr/bin:/bin", NODE_NO_WARNINGS: "1", ...environment },
          stdio: ["ignore", "pipe", "pipe", "ipc"]
        })
        let output = ""
        const keep = (chunk: Buffer) => {
          output = (output + chunk.toString()).slice(-outputKept)
        }
        child.stdout?.on("data", keep)
        child.stderr?.on("data", keep)
        child.once("message", (message) => Deferred.unsafeDone(first, Effect.succeed(message)))
        child.once("exit", (code, signal) => {
          Deferred.unsafeDone(ended, Effect.succeed({ code, signal, at: now() }))
          Deferred.unsafeDone(first, Effect.void)
        })
        // Both ends of a channel may break: a process that was killed takes its own with it.
        child.on("error", () => {})
        return {
          pid: child.pid ?? -1,
          output: () => output,
          ended: Deferred.await(ended),
          hasEnded: () => hasEnded(child),
          kill: (signal) => void child.kill(signal),
          tell: (message) => {
            if (!hasEnded(child) && child.connected) child.send(message as object, () => {})
          }
        }
      }),
      ({ ended, kill }) =>
        Effect.suspend(() => {
          kill("SIGKILL")
          return ended
        })
    )
    return [program, yield* Deferred.await(first)] as const
  })

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null
