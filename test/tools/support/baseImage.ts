/**
 * A stand-in for docker.io/library/node:24-slim where no image registry can be reached: Debian from its own packages,
 * Node and npm from theirs, and the user `node`. Containers get this machine's certificates and npm settings.
 */
import { Effect } from "effect"
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run } from "./process.ts"

const baseImage = "docker.io/library/node:24-slim"

const io = <A>(work: () => Promise<A>) => Effect.promise(work)

/** A directory that is gone when the scope closes. */
export const temporaryDirectory = Effect.acquireRelease(
  io(() => mkdtemp(join(tmpdir(), "effect-lambda-scheduler-image-"))),
  (path) => io(() => rm(path, { recursive: true, force: true }))
)

const certificates = "/etc/ssl/certs/ca-certificates.crt"

const installNode = (root: string, scratch: string) =>
  Effect.gen(function*() {
    const node = `node-linux-${process.arch}`
    yield* run("npm", ["install", "--prefix", scratch, "--no-save", "--ignore-scripts", `${node}@24`, "npm@11"])
    const from = (path: string) => join(scratch, "node_modules", path)
    const local = join(root, "usr/local")
    yield* io(async () => {
      await mkdir(join(local, "lib/node_modules"), { recursive: true })
      await cp(from(`${node}/bin/node`), join(local, "bin/node"))
      await cp(from("npm"), join(local, "lib/node_modules/npm"), { recursive: true })
      await symlink("../lib/node_modules/npm/bin/npm-cli.js", join(local, "bin/npm"))
    })
  })

const adoptNetworkSettings = (root: string) =>
  Effect.gen(function*() {
    const registry = (yield* run("npm", ["config", "get", "registry"])).trim()
    yield* io(async () => {
      await mkdir(join(root, "etc/ssl/certs"), { recursive: true })
      await cp(certificates, join(root, certificates))
      await mkdir(join(root, "usr/local/etc"), { recursive: true })
      await writeFile(join(root, "usr/local/etc/npmrc"), `registry=${registry}\ncafile=${certificates}\n`)
    })
  })

/**
 * Builds the stand-in and tags it.
 *
 * @param buildah runs buildah with its arguments
 */
export const buildBaseImage = <E>(buildah: (...args: ReadonlyArray<string>) => Effect.Effect<string, E>) =>
  Effect.scoped(Effect.gen(function*() {
    const scratch = yield* temporaryDirectory
    const root = join(scratch, "root")
    yield* run("debootstrap", ["--variant=minbase", "bookworm", root])
    yield* run("chroot", [root, "useradd", "--uid", "1000", "--user-group", "--create-home", "node"])
    yield* installNode(root, scratch)
    yield* adoptNetworkSettings(root)
    const container = (yield* buildah("from", "scratch")).trim()
    yield* buildah("add", "--quiet", container, root, "/")
    yield* buildah("config", "--cmd", "node", container)
    yield* buildah("commit", "--quiet", "--rm", container, baseImage)
  }))
