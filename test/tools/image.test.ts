/** Builds the real Dockerfile with buildah and runs what comes of it. Needs root, buildah and debootstrap. */
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect, Exit, ManagedRuntime, Schedule, Scope } from "effect"
import { chown, readdir, readFile } from "node:fs/promises"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { buildBaseImage, temporaryDirectory } from "./support/baseImage.ts"
import { run, running } from "./support/process.ts"

const repository = fileURLToPath(new URL("../..", import.meta.url))
const image = "localhost/effect-lambda-scheduler"

interface ImageConfig {
  readonly User: string
  readonly Env: ReadonlyArray<string>
  readonly Cmd: ReadonlyArray<string>
  readonly Volumes: Readonly<Record<string, unknown>>
  readonly Healthcheck: { readonly Test: ReadonlyArray<string> }
}

const freePort = Effect.async<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

describe("the image", () => {
  const runtime = ManagedRuntime.make(NodeHttpClient.layer)
  const scope = Effect.runSync(Scope.make())
  let storage = ""
  let container = ""
  let config: ImageConfig

  // A store of its own: nothing of this machine's images is touched. chroot works within a container, too.
  let driver = "overlay"
  const global = () => {
    const store = join(storage, driver)
    return ["--storage-driver", driver, "--root", join(store, "root"), "--runroot", join(store, "run")]
  }
  const buildah = (...args: ReadonlyArray<string>) => run("buildah", [...global(), ...args])
  const inContainer = (...args: ReadonlyArray<string>) => ["run", "--isolation", "chroot", ...args]

  beforeAll(() =>
    runtime.runPromise(Effect.gen(function*() {
      storage = yield* Scope.extend(temporaryDirectory, scope)
      // Quicker by half, where the kernel lets it.
      const overlay = yield* Effect.exit(buildah("from", "scratch"))
      if (Exit.isFailure(overlay)) driver = "vfs"
      yield* buildBaseImage(buildah)
      yield* buildah(
        "bud",
        "--format",
        "docker",
        "--isolation",
        "chroot",
        "--pull-never",
        "--quiet",
        "--tag",
        image,
        repository
      )
      container = (yield* buildah("from", "--pull-never", image)).trim()
      const inspected = JSON.parse(yield* buildah("inspect", "--type", "image", image)) as {
        readonly Docker: { readonly config: ImageConfig }
      }
      config = inspected.Docker.config
    }))
  )

  afterAll(() => runtime.runPromise(Scope.close(scope, Exit.void)).then(() => runtime.dispose()))

  it.live("is for AWS, listens on every address, and starts the server without npm in between", () =>
    Effect.sync(() => {
      expect(config.Env).toEqual(expect.arrayContaining(["LAMBDA=aws", "HOST=0.0.0.0", "NODE_ENV=production"]))
      expect(config.Cmd).toEqual(["node", "--max-semi-space-size=64", "dist/http/main.js"])
    }))

  it.live("runs as a user who is not root and owns nothing of the program", () =>
    Effect.gen(function*() {
      expect(config.User).toBe("1000:1000")
      const script = "id -u && find /app ! -user root | wc -l"
      const told = yield* buildah(...inContainer(container, "--", "sh", "-c", script))
      expect(told.split("\n").slice(0, 2)).toEqual(["1000", "0"])
    }))

  it.live("holds what the program needs and nothing for development", () =>
    Effect.gen(function*() {
      const names = yield* buildah(...inContainer(container, "--", "ls", "/app", "/app/node_modules"))
      expect(names).toMatch(/^effect$/m)
      expect(names).not.toMatch(/^(typescript|vitest|eslint|src|test)$/m)
    }))

  it.scopedLive("serves: healthy by its own check, closed without the key, gone cleanly on SIGTERM", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const env = ["--env", `PORT=${port}`, "--env", "AWS_REGION=eu-north-1"]
      const server = yield* running("buildah", [...global(), ...inContainer(...env, container, "--", ...config.Cmd)])
      const get = (path: string) => HttpClient.get(`http://127.0.0.1:${port}${path}`)
      const up = yield* get("/healthz").pipe(
        Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo("30 seconds")))
      )
      expect(up.status).toBe(200)
      expect((yield* get("/readyz")).status).toBe(200)
      expect((yield* get("/list")).status).toBe(401)
      expect(server.output()).toContain("Functions run on AWS Lambda in eu-north-1, because LAMBDA=aws.")

      const [kind, ...check] = config.Healthcheck.Test
      expect(kind).toBe("CMD")
      yield* buildah(...inContainer(...env, container, "--", ...check))
      const unhealthy = buildah(...inContainer("--env", "PORT=1", container, "--", ...check))
      expect(Exit.isFailure(yield* Effect.exit(unhealthy))).toBe(true)

      process.kill(yield* serverPid(server.pid, config.Cmd), "SIGTERM")
      expect(yield* Effect.promise(() => server.ended)).toBe(0)
    }).pipe(Effect.provide(NodeHttpClient.layer)))

  it.scopedLive(
    "keeps Tasks in its volume: scheduled, killed, started again, the Task is there",
    () =>
      Effect.gen(function*() {
        expect(config.Env).toContain("DATA_DIR=/data/postgres")
        expect(Object.keys(config.Volumes)).toEqual(["/data"])
        const volume = yield* temporaryDirectory
        yield* Effect.promise(() => chown(volume, 1000, 1000))
        const port = yield* freePort
        const key = "k".repeat(40)
        const args = [
          "--env",
          `PORT=${port}`,
          "--env",
          "LAMBDA=local",
          "--env",
          `API_KEY=${key}`,
          "--volume",
          `${volume}:/data`
        ]
        const start = running("buildah", [...global(), ...inContainer(...args, container, "--", ...config.Cmd)])
        const ask = (request: HttpClientRequest.HttpClientRequest) =>
          HttpClient.execute(HttpClientRequest.bearerToken(request, key))
        const up = ask(HttpClientRequest.get(`http://127.0.0.1:${port}/readyz`)).pipe(
          Effect.filterOrFail(({ status }) => status === 200),
          Effect.retry(Schedule.spaced("200 millis").pipe(Schedule.upTo("60 seconds")))
        )
        const first = yield* start
        yield* up
        const json = { name: "kept", jsonPayload: { n: 1 }, initialDelay: "1 hour" }
        const accepted = yield* ask(HttpClientRequest.bodyUnsafeJson(
          HttpClientRequest.post(`http://127.0.0.1:${port}/schedule`),
          json
        ))
        expect(accepted.status).toBe(202)
        const { id } = (yield* accepted.json) as { readonly id: string }
        process.kill(yield* serverPid(first.pid, config.Cmd), "SIGKILL")
        // buildah itself lives on to unmount what it has mounted.
        yield* Effect.promise(() => first.ended)
        const second = yield* start
        yield* up
        const found = yield* ask(HttpClientRequest.get(`http://127.0.0.1:${port}/status/kept`))
        expect(yield* found.json).toMatchObject({ id, status: "Scheduled" })
        process.kill(yield* serverPid(second.pid, config.Cmd), "SIGTERM")
        expect(yield* Effect.promise(() => second.ended)).toBe(0)
      }).pipe(Effect.provide(NodeHttpClient.layer)),
    180_000
  )
})

/** The process of the command itself, some generations below buildah's. */
const serverPid = (ancestor: number | undefined, command: ReadonlyArray<string>): Effect.Effect<number> =>
  Effect.promise(async () => {
    let pids = [ancestor]
    while (pids.length > 0) {
      const children: Array<number> = []
      for (const pid of pids) {
        // Any thread of a Go program may be the one that forked.
        for (const thread of await readdir(`/proc/${pid}/task`)) {
          const listed = await readFile(`/proc/${pid}/task/${thread}/children`, "utf8")
          children.push(...listed.trim().split(" ").filter((text) => text !== "").map(Number))
        }
      }
      for (const pid of children) {
        const args = (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0")
        if (args[0]?.endsWith("node") === true && args[1] === command[1]) return pid
      }
      pids = children
    }
    throw new Error(`no ${command.join(" ")} below process ${ancestor}`)
  })
