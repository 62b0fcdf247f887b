/** What the system tells about processes. Linux tells by /proc, others by `ps`. */
import { spawnSync } from "node:child_process"
import { readFileSync, readlinkSync, statSync } from "node:fs"
import { hostname } from "node:os"

const isLinux = process.platform === "linux"

const orUndefined = (read: () => string): string | undefined => {
  try {
    return read()
  } catch {
    // The process has ended, or it is somebody else's.
    return undefined
  }
}

/** From the third field on: the second, the program's name, may hold blanks and brackets. */
const procStat = (pid: number): ReadonlyArray<string> | undefined =>
  orUndefined(() => readFileSync(`/proc/${pid}/stat`, "latin1"))?.replace(/^.*\) /s, "").split(" ")

const ps = (pid: number, column: string): string =>
  // Null where there is no `ps`.
  (spawnSync("ps", ["-o", `${column}=`, "-p", String(pid)], { encoding: "utf8" }).stdout as string | null)?.trim() ?? ""

/** Whether a process is there and has not ended. */
export const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false
  }
  // Ended, and its parent has not asked yet.
  const state = isLinux ? procStat(pid)?.[0] : undefined
  return state !== "Z" && state !== "X"
}

/** When a process started: with its pid, what tells it from a later one of the same number. */
export const startOf = (pid: number): string =>
  (isLinux ? (isThere(pid) ? procStat(pid)?.[19] : undefined) : ps(pid, "lstart")) ?? ""

/** Where pids mean the same: this boot of this machine, or this container of it. */
export const machine = (): string =>
  isLinux
    ? `${orUndefined(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1")) ?? hostname()} ${
      orUndefined(() => readlinkSync("/proc/self/ns/pid")) ?? hostname()
    }`
    : startOf(1)

/** Whether a process is a PostgreSQL server of this data directory: it works in there. */
export const isServerOf = (pid: number, data: string): boolean => {
  if (!isThere(pid)) return false
  if (!isLinux) return ps(pid, "comm").endsWith("postgres")
  try {
    // By device and inode: the server may know the folder by another path.
    const [there, here] = [statSync(`/proc/${pid}/cwd`), statSync(data)]
    return there.dev === here.dev && there.ino === here.ino
  } catch {
    // Another user's process: a server of this folder is its owner's.
    return false
  }
}

/** Sends a signal; a process that is gone needs none. */
export const signal = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error
  }
}
