/** The temporary folder in which functions live: their code, read only, and a folder each process may write to. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { chmodSync, readdirSync, rmSync } from "node:fs"
import { chmod, chown, lstat, mkdir, mkdtemp, realpath, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { InvalidInput } from "../../domain/Errors.ts"
import { unzip } from "../../packaging/Unzip.ts"
import { bootstrapSource } from "./Bootstrap.ts"
import type { Launcher, User } from "./Isolation.ts"
import { findLauncher, starts, unprivileged } from "./Isolation.ts"

export interface Workspace {
  /** The file each child process starts with. */
  readonly bootstrap: string
  /** Whom children run as; `undefined` for the user of this process. */
  readonly user: User | undefined
  readonly launcher: Launcher
  /** Unpacks a checked zip into a new read-only folder and answers its path. */
  readonly unpack: (id: string, zip: Uint8Array) => Effect.Effect<string, InvalidInput>
  /** Makes a folder that children may write to. */
  readonly makeTmp: (id: string) => Effect.Effect<string>
  readonly remove: (folder: string) => Effect.Effect<void>
}

const io = <A>(task: () => Promise<A>): Effect.Effect<A> => Effect.promise(task)

/** Others may pass through a folder like this, but not list it. */
const passage = 0o711

/** Whether another user gets to this folder: each folder above it lets others pass. */
const isPassable = async (folder: string): Promise<boolean> => {
  const { mode } = await lstat(folder)
  const parent = dirname(folder)
  return (mode & 0o001) !== 0 && (parent === folder || isPassable(parent))
}

const isRoot = process.getuid?.() === 0

/** As root, children are given to a user that owns nothing; where that cannot be, one line says why. */
const chooseUser = (folder: string): Effect.Effect<User | undefined> =>
  Effect.gen(function*() {
    if (!isRoot) return undefined
    if (!(yield* starts([], unprivileged))) {
      yield* Effect.logWarning(
        `Functions run as root: uid ${unprivileged.uid} cannot start ${process.execPath}. Install Node.js where every ` +
          "user can reach it (not below a private home), or start this program as a normal user."
      )
      return undefined
    }
    if (!(yield* io(() => isPassable(dirname(folder))))) {
      yield* Effect.logWarning(
        `Functions run as root: uid ${unprivileged.uid} cannot reach ${
          dirname(folder)
        }. Set TMPDIR to a folder that every ` +
          "user can enter (such as /tmp), or start this program as a normal user."
      )
      return undefined
    }
    return unprivileged
  })

/** A folder's own permission is what its entries are removed by; only root needs none. */
const unlock = (folder: string): void => {
  if (isRoot) return
  chmodSync(folder, 0o700)
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) unlock(join(folder, entry.name))
  }
}

const removeFolder = (folder: string): Effect.Effect<void> =>
  io(async () => {
    unlock(folder)
    await rm(folder, { recursive: true, force: true })
  }).pipe(
    // A process may still write there while it ends. What then stays is a folder of the system's temporary ones.
    Effect.catchAllDefect((defect) => Effect.logDebug(`Temporary folder ${folder} stays behind`, defect))
  )

/** The same when the process exits and nothing can be awaited. */
const removeFolderNow = (folder: string): void => {
  try {
    unlock(folder)
    rmSync(folder, { recursive: true, force: true })
  } catch {
    // It stays behind; an exit is no place to fail.
  }
}

const unpack = (folder: string, zip: Uint8Array): Effect.Effect<void, InvalidInput> =>
  Effect.gen(function*() {
    const folders = new Set([folder])
    const makeFolders = async (path: string): Promise<void> => {
      if (folders.has(path)) return
      await makeFolders(dirname(path))
      folders.add(path)
      await mkdir(path, { mode: 0o700 })
    }
    yield* io(() => mkdir(folder, { mode: 0o700 }))
    yield* unzip(zip, ({ bytes, path }) =>
      io(async () => {
        const target = join(folder, path)
        await makeFolders(dirname(target))
        await writeFile(target, bytes, { flag: "wx" })
        // Set apart from writing: the process's umask would take bits away.
        await chmod(target, 0o444)
      }))
    yield* io(async () => {
      for (const path of folders) await chmod(path, 0o555)
    })
  })

/**
 * Makes the folder, and removes it with all it holds when the scope closes, or when the process ends before that.
 *
 * @example
 * const workspace = yield* makeWorkspace
 * const taskRoot = yield* workspace.unpack("1", zip)
 */
export const makeWorkspace: Effect.Effect<Workspace, never, Scope.Scope> = Effect.gen(function*() {
  const root = yield* Effect.acquireRelease(
    // The permission model compares real paths.
    io(async () => mkdtemp(join(await realpath(tmpdir()), "effect-lambda-"))),
    removeFolder
  )
  const removeNow = () => removeFolderNow(root)
  yield* Effect.acquireRelease(
    Effect.sync(() => process.once("exit", removeNow)),
    () => Effect.sync(() => process.removeListener("exit", removeNow))
  )
  const user = yield* chooseUser(root)
  const bootstrap = join(root, "bootstrap.cjs")
  yield* io(async () => {
    await chmod(root, passage)
    await writeFile(bootstrap, bootstrapSource)
    await chmod(bootstrap, 0o444)
    for (const name of ["code", "tmp"]) {
      await mkdir(join(root, name))
      await chmod(join(root, name), passage)
    }
  })
  return {
    bootstrap,
    user,
    launcher: yield* findLauncher(user),
    unpack: (id, zip) => {
      const folder = join(root, "code", id)
      return Effect.as(unpack(folder, zip), folder).pipe(Effect.onError(() => removeFolder(folder)))
    },
    makeTmp: (id) =>
      io(async () => {
        const folder = join(root, "tmp", id)
        await mkdir(folder, { mode: 0o700 })
        if (user !== undefined) await chown(folder, user.uid, user.gid)
        return folder
      }),
    remove: removeFolder
  }
})
