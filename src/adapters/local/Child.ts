/** One child process, as Node gives it: what it says, what it prints, how it ends. No policy. */
import { Deferred, Effect, FiberId } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import type { Duplex } from "node:stream"
import type { Frame } from "./Frames.ts"
import { FrameReader } from "./Frames.ts"
import type { LaunchPlan } from "./Isolation.ts"
import { environmentMark } from "./Isolation.ts"
import { LogTail } from "./LogTail.ts"

/** How a child ended; `error` when it never started. */
export interface ExitStatus {
  readonly code: number | null
  readonly signal: string | null
  readonly error?: NodeJS.ErrnoException
}

/** How long a dead child's last words may take to arrive: a process it left behind may hold the pipe. */
const lastWords = "100 millis"

export class Child {
  readonly log = new LogTail()
  /** Set once the child has ended and all it said has been read. */
  status: ExitStatus | undefined
  /** Set once the child has reported an uncaught error: it is about to end. */
  isEnding = false
  private listener: ((frame: Frame) => void) | undefined
  /** Said while nobody listened. Only the last: a child that talks on its own has nothing to say. */
  private unheard: Frame | undefined
  private lastPeak: number | undefined
  private readonly process: ChildProcess
  private readonly plan: LaunchPlan
  private readonly ended = Deferred.unsafeMake<ExitStatus>(FiberId.none)
  private readonly closed = Deferred.unsafeMake<void>(FiberId.none)

  constructor(plan: LaunchPlan) {
    this.plan = plan
    this.process = spawn(plan.command, plan.args, {
      cwd: plan.cwd,
      env: plan.env,
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      // A process group of its own, so that all it starts can be ended with it.
      detached: true,
      ...plan.user
    })
    const { stderr, stdout } = this.process
    for (const output of [stdout, stderr]) output?.on("data", (chunk: Buffer) => this.log.print(chunk))
    const control = this.control
    const reader = new FrameReader((frame) => {
      if (frame.header.type === "fatal") this.isEnding = true
      if (this.listener === undefined) this.unheard = frame
      else this.listener(frame)
    })
    control?.on("data", (chunk: Buffer) => {
      try {
        reader.read(chunk)
      } catch {
        // Not our bootstrap speaking: whatever it says next is not worth hearing.
        this.kill()
      }
    })
    // A child that ends while we write: its exit says so.
    control?.on("error", () => {})

    const done = (status: ExitStatus) => {
      this.status = status
      Deferred.unsafeDone(this.ended, Effect.succeed(status))
    }
    this.process.on("error", (error) => {
      if (this.process.pid === undefined) {
        done({ code: null, signal: null, error })
        Deferred.unsafeDone(this.closed, Effect.void)
      }
    })
    this.process.on("exit", (code, signal) => {
      this.killGroup()
      // What it said last is still in the channel.
      if (control === null || control.closed) done({ code, signal })
      else control.on("close", () => done({ code, signal }))
    })
    this.process.on("close", () => Deferred.unsafeDone(this.closed, Effect.void))
  }

  /** Ends when the child has ended and its log has been read. */
  get awaitExit(): Effect.Effect<ExitStatus> {
    return Deferred.await(this.ended).pipe(
      Effect.zipLeft(Effect.timeoutOption(Deferred.await(this.closed), lastWords))
    )
  }

  /** Takes what the child says from now on, and what it said last while nobody listened. */
  listen(listener: (frame: Frame) => void): void {
    this.listener = listener
    const { unheard } = this
    this.unheard = undefined
    if (unheard !== undefined) listener(unheard)
  }

  get isAlive(): boolean {
    return this.status === undefined && !this.isEnding && this.process.exitCode === null &&
      this.process.signalCode === null
  }

  send(frame: Buffer): void {
    this.control?.write(frame)
  }

  /** Ends the child and all it started, at once. */
  kill(): void {
    if (this.process.exitCode === null && this.process.signalCode === null) this.killGroup()
  }

  /** The most memory it ever held, in bytes, as last seen; `undefined` where the system does not say (no /proc). */
  get peakMemory(): number | undefined {
    try {
      const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.process.pid}/status`, "latin1"))
      if (match !== null) this.lastPeak = Number(match[1]) * 1024
    } catch {
      // It has ended, or there is no /proc.
    }
    return this.lastPeak
  }

  private get control(): Duplex | null {
    return (this.process.stdio[3] ?? null) as Duplex | null
  }

  private killGroup(): void {
    const { pid } = this.process
    if (pid === undefined) return
    signal(-pid)
    const mark = this.plan.env[environmentMark]
    if (this.plan.mayFork && mark !== undefined) killMarked(mark)
  }
}

const signal = (pid: number): void => {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It is gone already.
  }
}

/** Ends processes that left the group (`setsid`): they still carry the environment's mark. Linux only. */
const killMarked = (mark: string): void => {
  const carries = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").includes(`${environmentMark}=${mark}`)
    } catch {
      // Ended meanwhile, or somebody else's.
      return false
    }
  }
  try {
    for (const pid of readdirSync("/proc")) if (/^\d+$/.test(pid) && carries(pid)) signal(Number(pid))
  } catch {
    // No /proc here: the group was all that could be ended.
  }
}
