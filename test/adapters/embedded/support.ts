/** What the tests of the embedded PostgreSQL share. */
import { Context, Data, Effect, Layer, Logger, Redacted } from "effect"
import type { Scope } from "effect"
import { execFileSync, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import { EmbeddedPostgres } from "../../../src/adapters/embedded/index.ts"
import type { EmbeddedPostgresOptions } from "../../../src/adapters/embedded/index.ts"
import { isThere } from "../../../src/adapters/embedded/Processes.ts"

const repository = join(import.meta.dirname, "../../..")

/** A folder that is gone when the scope closes. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "embedded-"))),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)

/** What is logged on the way is what these tests bring about. */
const quiet = Logger.remove(Logger.defaultLogger)

/** The server for as long as the scope is open. */
export const open = (options: EmbeddedPostgresOptions) =>
  Effect.map(
    Layer.build(EmbeddedPostgres.layer(options).pipe(Layer.provide(quiet))),
    (context) => Context.get(context, EmbeddedPostgres)
  )

export class StatementFailed extends Data.TaggedError("StatementFailed")<{ readonly message: string }> {}

/** What one statement answers. */
export const ask = (
  url: string | Redacted.Redacted,
  statement: string
): Effect.Effect<ReadonlyArray<unknown>, StatementFailed> =>
  Effect.tryPromise({
    try: async () => {
      const client = new pg.Client({
        connectionString: typeof url === "string" ? url : Redacted.value(url),
        connectionTimeoutMillis: 2_000
      })
      client.on("error", () => {})
      try {
        await client.connect()
        const { rows } = await client.query<Record<string, unknown>>(statement)
        return rows.flatMap((row) => Object.values(row))
      } finally {
        await client.end().catch(() => {})
      }
    },
    catch: (error) => new StatementFailed({ message: String(error) })
  })

export const dataOf = (directory: string): string => join(directory, "cluster", "data")

/** The server's process, as it wrote it down; 0 for none. */
export const serverPid = (directory: string): number => {
  const file = join(dataOf(directory), "postmaster.pid")
  return existsSync(file) ? Number(readFileSync(file, "utf8").split("\n")[0]) : 0
}

/** Also not one that nobody has asked about since it ended: the first process of a container may never ask. */
export const isRunning = isThere

/** Waits, in real time, until something holds; fails after twenty seconds. */
export const eventually = (what: string, holds: () => boolean): Effect.Effect<void> =>
  Effect.gen(function*() {
    while (!holds()) yield* Effect.sleep(20)
  }).pipe(
    Effect.timeoutOption("20 seconds"),
    Effect.flatMap((met) => met._tag === "Some" ? Effect.void : Effect.dieMessage(`still not so: ${what}`))
  )

export interface Program {
  readonly child: ChildProcess
  readonly url: string
  readonly adopted: boolean
  /** Ends when the program has ended. */
  readonly ended: Effect.Effect<void>
}

export type Ending = "stay" | "exit" | "throw"

export interface Identity {
  readonly uid?: number
  readonly gid?: number
}

/** Another program on the same directory; killed with the scope, if it is there by then. */
export const begin = (directory: string, ending: Ending, identity: Identity = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(
        process.execPath,
        ["--import", "tsx", join(import.meta.dirname, "fixtures/program.ts"), directory, ending],
        { cwd: repository, stdio: ["ignore", "pipe", ending === "throw" ? "ignore" : "inherit"], ...identity }
      )
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
      return { child, ended: Effect.promise(() => ended) }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** The same, once its server answers. */
export const program = (directory: string, ending: Ending, identity: Identity = {}) =>
  Effect.gen(function*() {
    const { child, ended } = yield* begin(directory, ending, identity)
    const line = yield* Effect.async<string>((resume) => {
      child.stdout.once("data", (chunk: Buffer) => resume(Effect.succeed(chunk.toString())))
      child.once("exit", (code) => resume(Effect.dieMessage(`the program ended with ${code}`)))
    })
    const said = JSON.parse(line) as { readonly url: string; readonly adopted: boolean }
    return { ...said, child, ended } satisfies Program
  })

/** Makes sure that no server stays behind, however the test ended. */
export const endServer = (directory: string) =>
  Effect.addFinalizer(() =>
    Effect.suspend(() => {
      const pid = serverPid(directory)
      if (pid === 0 || !isRunning(pid)) return Effect.void
      process.kill(pid, "SIGQUIT")
      return eventually("the server has ended", () => !isRunning(pid))
    })
  )

export const isRoot = process.getuid?.() === 0

/** Whether Node starts as another user: we are root, and it lies where that user can reach it. */
export const canBeAnother = isRoot && (() => {
  try {
    const identity = { uid: 65534, gid: 65534, cwd: "/", env: {}, stdio: "ignore" } as const
    execFileSync(process.execPath, ["--version"], identity)
    return existsSync(repository)
  } catch {
    return false
  }
})()
