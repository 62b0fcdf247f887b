/** Runs one of PostgreSQL's programs to its end. */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess, StdioOptions } from "node:child_process"
import { signal } from "./Processes.ts"
import type { User } from "./ServerUser.ts"

/** All that a program of PostgreSQL gets of an environment. */
const environment = (libraries: ReadonlyArray<string>): Record<string, string> => ({
  [process.platform === "darwin" ? "DYLD_LIBRARY_PATH" : "LD_LIBRARY_PATH"]: libraries.join(":"),
  PATH: "/usr/bin:/bin",
  LC_ALL: "C",
  TZ: "UTC"
})

export interface CommandOptions {
  readonly libraries: ReadonlyArray<string>
  readonly user: User | undefined
  /** A folder that the program gets as descriptor 3. */
  readonly folder?: number | undefined
  /** Where it prints; else nowhere. */
  readonly output?: "pipe" | number
}

/**
 * Starts a program: with its own process group, so that Ctrl-C in a terminal is ours to handle and the program does not
 * end before those who need it.
 *
 * @throws what the system answers, where it refuses at once
 */
export const start = (program: string, args: ReadonlyArray<string>, options: CommandOptions): ChildProcess => {
  const { folder, libraries, output = "ignore", user } = options
  const stdio: StdioOptions = ["ignore", output, output, ...(folder === undefined ? [] : [folder])]
  return spawn(program, args, { cwd: "/", env: environment(libraries), stdio, detached: true, ...user })
}

export interface Ended {
  /** 0, another number, a signal's name, or the code of what kept it from starting, such as ENOENT. */
  readonly status: number | string
  /** The end of what it printed. */
  readonly output: string
}

const keptOutput = 4_096

/** Runs a program to its end. It ends with the Effect, and with this process. */
export const execute = (
  program: string,
  args: ReadonlyArray<string>,
  options: Omit<CommandOptions, "output">
): Effect.Effect<Ended> =>
  Effect.async((resume) => {
    let output = ""
    const end = (status: number | string) => {
      process.removeListener("exit", kill)
      resume(Effect.succeed({ status, output: output.trim() }))
    }
    let child: ChildProcess | undefined
    // initdb starts servers of its own: the group.
    const kill = () => child?.pid === undefined ? undefined : signal(-child.pid, "SIGKILL")
    try {
      child = start(program, args, { ...options, output: "pipe" })
    } catch (error) {
      output = String(error)
      return end((error as NodeJS.ErrnoException).code ?? "UNKNOWN")
    }
    process.once("exit", kill)
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        output = (output + text).slice(-keptOutput)
      })
    }
    child.on("error", (error: NodeJS.ErrnoException) => {
      output = error.message
      end(error.code ?? "UNKNOWN")
    })
    child.on("close", (code, signalName) => end(code ?? signalName ?? "UNKNOWN"))
    return Effect.sync(() => {
      process.removeListener("exit", kill)
      kill()
    })
  })
