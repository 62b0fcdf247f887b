/**
 * The programs that use one server: a file for each. The last that leaves stops the server; one that comes while another
 * is leaving waits for it.
 *
 * No lock is needed. Who leaves says so first and looks around second; who comes says so first and looks around second.
 * So at least one of the two sees the other.
 */
import { Clock, Effect } from "effect"
import { createHash, randomBytes } from "node:crypto"
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from "node:fs"
import { hostname } from "node:os"
import { join } from "node:path"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import { machine, startOf } from "./Processes.ts"

type State = "entering" | "using" | "leaving"

interface Program {
  readonly file: string
  readonly id: string
  readonly state: State
  /** Who came before whom; 0 while that is not known yet. */
  readonly ticket: number
  /** In this boot of this machine or container: only here does its pid mean something. */
  readonly isLocal: boolean
}

/** How often a program shows that it lives, for those who cannot see its process. */
export const heartbeat = "1 second"
/** A program elsewhere that has not done so for this long, in milliseconds, has ended. */
const silence = 5_000
/** How long a start waits for a program elsewhere to go, as a new container for the old one. */
const patience = 30_000

/** What is written is the same each time, and to truncate a file costs most of what it takes to write one. */
const withoutTruncating = constants.O_WRONLY | constants.O_CREAT

const digest = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 12)

const fileName = /^((\d+)-([0-9a-f]+)-([0-9a-f]+)-[0-9a-f]+)\.(\d+)\.(entering|using|leaving)$/

export class Programs {
  readonly id: string
  private readonly folder: string
  private readonly here = digest(machine())
  private state: State = "entering"
  private ticket = 0

  constructor(folder: string) {
    this.folder = folder
    // Two programs in one process are two programs.
    this.id = `${process.pid}-${digest(startOf(process.pid))}-${this.here}-${randomBytes(4).toString("hex")}`
  }

  /** From now on, others leave the server running for us. */
  enter(): void {
    mkdirSync(this.folder, { recursive: true, mode: 0o700 })
    this.beat()
    this.become("using", 1 + Math.max(...this.list().map(({ ticket }) => ticket)))
  }

  /** Shows that we live. By writing: the file system's clock dates it, whichever machine that is on. */
  beat(): void {
    const file = openSync(this.file, withoutTruncating, 0o600)
    try {
      writeSync(file, hostname())
    } finally {
      closeSync(file)
    }
  }

  /** Says that we leave. Whether the server is ours to stop: nobody else uses it. */
  leave(): boolean {
    this.become("leaving", this.ticket)
    return !this.others().some(({ state }) => state !== "leaving")
  }

  /** We are gone. */
  remove(): void {
    rmSync(this.file, { force: true })
  }

  /** Whether the program of this id is there. */
  isLiving(id: string): boolean {
    return this.list().some((program) => program.id === id)
  }

  get isAlone(): boolean {
    return this.others().length === 0
  }

  /** Waits until programs that are leaving have left, and until none of another machine or container is there. */
  get awaitTurn(): Effect.Effect<void, EmbeddedPostgresError> {
    return Effect.zipRight(this.awaitForeign, this.awaitLeavers)
  }

  private get awaitLeavers(): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.others().some(({ state }) => state === "leaving")
        ? Effect.zipRight(Effect.sleep(20), this.awaitLeavers)
        : Effect.void
    )
  }

  /**
   * A server elsewhere cannot be reached, and its data is not safe from one here: PostgreSQL's own guard looks for a
   * pid, which means another process there. Of several that start at once, the first has its way (Lamport's bakery).
   */
  private get awaitForeign(): Effect.Effect<void, EmbeddedPostgresError> {
    return Effect.gen(this, function*() {
      const began = yield* Clock.currentTimeMillis
      for (let round = 0;; round++) {
        const [first] = this.foreignAhead()
        if (first === undefined) return
        if (round === 0) yield* Effect.logInfo(`Waiting for a program on ${first} to leave the data directory.`)
        if ((yield* Clock.currentTimeMillis) - began > patience) {
          return yield* new EmbeddedPostgresError({
            reason: "DirectoryInUse",
            message: "expected the data directory for this machine or container alone, got a program on " +
              `${first} that goes on using it. Stop that program, name another directory (DATA_DIR), or set ` +
              "DATABASE_URL to a PostgreSQL that both can reach."
          })
        }
        yield* Effect.sleep(heartbeat)
      }
    })
  }

  /** The hosts of programs elsewhere that came before us; forgets those that have fallen silent. */
  private foreignAhead(): ReadonlyArray<string> {
    const hosts: Array<string> = []
    this.beat()
    const now = statSync(this.file).mtimeMs
    for (const { file, id, isLocal, ticket } of this.list()) {
      if (isLocal || ticket > this.ticket || (ticket === this.ticket && id > this.id)) continue
      try {
        // Reading first: what a network file system remembers of the date may be old.
        const host = readFileSync(file, "utf8")
        if (now - statSync(file).mtimeMs > silence) rmSync(file, { force: true })
        else hosts.push(host)
      } catch (error) {
        // It has left in this moment.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
      }
    }
    return hosts
  }

  private get file(): string {
    return join(this.folder, `${this.id}.${this.ticket}.${this.state}`)
  }

  private become(state: State, ticket: number): void {
    const { file } = this
    this.state = state
    this.ticket = ticket
    renameSync(file, this.file)
  }

  /** The others here. */
  private others(): ReadonlyArray<Program> {
    return this.list().filter(({ id, isLocal }) => isLocal && id !== this.id)
  }

  /** All that are there; forgets those here that ended without a word. */
  private list(): ReadonlyArray<Program> {
    const programs: Array<Program> = []
    for (const entry of readdirSync(this.folder)) {
      const [, id, pid, start, where, ticket, state] = fileName.exec(entry) ?? []
      if (id === undefined) continue
      const file = join(this.folder, entry)
      const isLocal = where === this.here
      if (isLocal && digest(startOf(Number(pid))) !== start) rmSync(file, { force: true })
      else programs.push({ file, id, state: state as State, ticket: Number(ticket), isLocal })
    }
    return programs
  }
}
