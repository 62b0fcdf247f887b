import { describe, expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Scope } from "effect"
import { connect } from "node:net"
import { rawExchange, serve } from "./support.ts"

/** A scheduler whose listing takes until it is released, and a request that waits for it. */
const serveSlowly = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const asked = yield* Deferred.make<void>()
  const release = yield* Deferred.make<void>()
  const served = yield* serve({
    scheduler: (scheduler) => ({
      ...scheduler,
      list: (filter, page) =>
        Deferred.succeed(asked, undefined).pipe(
          Effect.zipRight(Deferred.await(release)),
          Effect.zipRight(scheduler.list(filter, page))
        )
    })
  }).pipe(Scope.extend(scope))
  return { ...served, scope, asked, release }
})

describe("closing", () => {
  it.live("lets a request under way finish, and tells its connection to close", () =>
    Effect.gen(function*() {
      const { asked, get, port, release, scope } = yield* serveSlowly
      // Over a connection that its client means to keep.
      const request = yield* Effect.fork(rawExchange(port, "GET /list HTTP/1.1\r\nHost: localhost\r\n\r\n"))
      yield* Deferred.await(asked)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* Effect.sleep("50 millis")
      expect((yield* Effect.exit(get("/healthz").pipe(Effect.timeout("1 second"))))._tag).toBe("Failure")
      yield* Deferred.succeed(release, undefined)
      const answer = yield* Fiber.join(request)
      expect(answer).toMatch(/^HTTP\/1\.1 200 /)
      expect(answer).toMatch(/^connection: close\r$/im)
      const [elapsed] = yield* Effect.timed(Fiber.join(closing))
      expect(Duration.toMillis(elapsed)).toBeLessThan(1_000)
    }))

  it.live("does not wait for connections on which nothing is asked, and cuts what takes too long", () =>
    Effect.gen(function*() {
      const { asked, get, port, scope } = yield* serveSlowly
      const silent = connect(port, "127.0.0.1").on("error", () => {})
      const half = connect(port, "127.0.0.1").on("error", () => {})
      half.write("GET /list HTTP/1.1\r\nHo")
      yield* Effect.sleep("50 millis")
      const request = yield* Effect.fork(Effect.exit(get("/list").pipe(Effect.sandbox)))
      yield* Deferred.await(asked)
      const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
      expect(Duration.toMillis(elapsed)).toBeGreaterThan(4_900)
      expect(Duration.toMillis(elapsed)).toBeLessThan(7_000)
      expect((yield* Fiber.join(request))._tag).toBe("Failure")
      silent.destroy()
      half.destroy()
    }))

  it.live("is quick when nothing is asked", () =>
    Effect.gen(function*() {
      const { port, scope } = yield* serveSlowly
      const silent = connect(port, "127.0.0.1").on("error", () => {})
      yield* Effect.sleep("50 millis")
      const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
      expect(Duration.toMillis(elapsed)).toBeLessThan(1_000)
      silent.destroy()
    }))
})
