/** Commands of the system, as Effects. */
import { Data, Effect } from "effect"
import { execFile, spawn } from "node:child_process"

export class CommandFailed extends Data.TaggedError("CommandFailed")<{ readonly message: string }> {}

/** Runs a command to its end; answers what it wrote to stdout. */
export const run = (
  command: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): Effect.Effect<string, CommandFailed> =>
  Effect.async((resume) => {
    const options = { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 }
    const child = execFile(command, args, options, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.succeed(stdout)
          : new CommandFailed({
            message: `${command} ${args.join(" ")}: ${error.message}\n${stdout.slice(-4_000)}\n${stderr.slice(-4_000)}`
          })
      ))
    child.stdin?.end()
    return Effect.sync(() => child.kill())
  })

/** A command that runs until the scope closes. */
export const running = (
  command: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(command, args, {
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "inherit"],
        // A process group of its own, so that its children end with it.
        detached: true
      })
      let output = ""
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        output += text
      })
      const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
      return { pid: child.pid, output: () => output, ended, kill: () => killGroup(child.pid) }
    }),
    ({ ended, kill }) => Effect.promise(() => (kill(), ended))
  )

const killGroup = (pid: number | undefined): void => {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL")
  } catch (error) {
    // It has ended already.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}
