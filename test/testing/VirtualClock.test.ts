import { describe, expect, it } from "@effect/vitest"
import { Cause, Clock, Context, DateTime, Effect, Exit, Fiber, Layer, Option, Ref, Schedule } from "effect"
import * as fc from "fast-check"
import { VirtualClock } from "../../src/testing/index.ts"

const start = Date.parse("2026-01-01T00:00:00Z")
const day = 86_400_000

/** A test that starts on the real clock, as a user's would. */
const virtual = (name: string, test: Effect.Effect<void>) =>
  it.live(name, () => test.pipe(Effect.provide(VirtualClock.layer)))

const macrotasks = (count: number) =>
  Effect.promise(async () => {
    for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
  })

describe("VirtualClock", () => {
  virtual(
    "jumps to the next sleeper, to the millisecond",
    Effect.gen(function*() {
      expect(yield* Clock.currentTimeMillis).toBe(start)
      yield* Effect.sleep("365 days")
      expect(yield* Clock.currentTimeMillis).toBe(start + 365 * day)
      expect(DateTime.formatIso(yield* DateTime.now)).toBe("2027-01-01T00:00:00.000Z")
      expect(yield* Clock.currentTimeNanos).toBe(BigInt(start + 365 * day) * 1_000_000n)
      expect(yield* Clock.clockWith((clock) => Effect.sync(() => clock.unsafeCurrentTimeMillis()))).toBe(
        start + 365 * day
      )
    })
  )

  it.live("starts where it is told to, and ends with its layer", () =>
    Effect.gen(function*() {
      const before = yield* Clock.clockWith(Effect.succeed)
      const inside = yield* Clock.currentTimeMillis.pipe(
        Effect.provide(VirtualClock.layerAt("2028-02-29T12:00:00+01:00"))
      )
      expect(inside).toBe(Date.parse("2028-02-29T11:00:00Z"))
      expect(yield* Clock.clockWith(Effect.succeed)).toBe(before)
    }))

  it.live("refuses a start that is no instant", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.void.pipe(Effect.provide(VirtualClock.layerAt("2026-02-30"))))
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
    }))

  it.live("wakes every sleeper at its own instant, in order, first come first served", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 60 }), (delays) =>
          Effect.gen(function*() {
            const woken: Array<readonly [index: number, at: number]> = []
            yield* Effect.forEach(delays, (delay, index) =>
              Effect.gen(function*() {
                yield* Effect.sleep(delay)
                woken.push([index, (yield* Clock.currentTimeMillis) - start])
              }), { concurrency: "unbounded" })
            const expected = delays.map((delay, index) =>
              [index, delay] as const
            )
              .sort(([i, one], [j, other]) => one - other || i - j)
            expect(woken).toEqual(expected)
          }).pipe(Effect.provide(VirtualClock.layer), Effect.runPromise))
      )
    ))

  virtual(
    "runs what one wake makes ready before the next wake of the same instant",
    Effect.gen(function*() {
      const second = yield* Effect.fork(Effect.sleep("1 second").pipe(Effect.delay(0)))
      const first = yield* Effect.fork(Effect.sleep("1 second").pipe(Effect.zipRight(Fiber.interrupt(second))))
      yield* Effect.yieldNow()
      // `first` sleeps since instant 0; `second` began a wake later and is due at the same instant, but behind it.
      yield* Fiber.join(first)
      expect(Exit.isInterrupted(yield* Fiber.await(second))).toBe(true)
    })
  )

  virtual(
    "stands still while a fiber can run, however often it gives way",
    Effect.gen(function*() {
      const sleeper = yield* Effect.fork(Effect.sleep("1 millis"))
      yield* Effect.yieldNow().pipe(Effect.repeatN(20_000))
      expect(yield* Clock.currentTimeMillis).toBe(start)
      yield* Effect.forEach(Array.from({ length: 1_000 }), () => Effect.promise(() => Promise.resolve()))
      expect(yield* Clock.currentTimeMillis).toBe(start)
      yield* Effect.iterate(0, { while: (n) => n < 1_000_000, body: (n) => Effect.succeed(n + 1) })
      expect(yield* Clock.currentTimeMillis).toBe(start)
      yield* Fiber.join(sleeper)
      expect(yield* Clock.currentTimeMillis).toBe(start + 1)
    })
  )

  virtual(
    "leaves the event loop its turns while a fiber spins",
    Effect.gen(function*() {
      const spinning = yield* Effect.fork(Effect.forever(Effect.yieldNow()))
      const sleeper = yield* Effect.fork(Effect.sleep("1 millis"))
      yield* macrotasks(10)
      expect(yield* Clock.currentTimeMillis).toBe(start)
      yield* Fiber.interrupt(spinning)
      yield* Fiber.join(sleeper)
      expect(yield* Clock.currentTimeMillis).toBe(start + 1)
    })
  )

  virtual(
    "stands still while nobody sleeps",
    Effect.gen(function*() {
      yield* Effect.fork(Effect.never)
      yield* Effect.fork(Effect.sleep(Infinity))
      yield* macrotasks(10)
      expect(yield* Clock.currentTimeMillis).toBe(start)
    })
  )

  virtual(
    "sleeps longer than a timer can",
    Effect.gen(function*() {
      const forEver = yield* Effect.fork(Effect.sleep(Infinity))
      yield* Effect.sleep(2 ** 31)
      expect(yield* Clock.currentTimeMillis).toBe(start + 2 ** 31)
      yield* Effect.sleep(`${100 * 365} days`)
      expect(yield* Clock.currentTimeMillis).toBe(start + 2 ** 31 + 100 * 365 * day)
      expect(Option.isNone(yield* Fiber.poll(forEver))).toBe(true)
    })
  )

  virtual(
    "rounds a sleep up to whole milliseconds",
    Effect.gen(function*() {
      yield* Effect.sleep("1 nanos")
      expect(yield* Clock.currentTimeMillis).toBe(start + 1)
    })
  )

  it.live("forgets who was interrupted, and time does not visit their instants", () =>
    Effect.gen(function*() {
      const { clock, scheduler, sleepers } = VirtualClock.make()
      yield* Effect.gen(function*() {
        const fibers = yield* Effect.forEach(Array.from({ length: 1_000 }), (_, index) =>
          Effect.fork(Effect.sleep(`${1_000 - index} days`)))
        yield* Effect.yieldNow()
        expect(yield* sleepers).toBe(1_000)
        // Every second one, so that the heap has holes everywhere.
        yield* Fiber.interruptAll(fibers.filter((_, index) =>
          index % 2 === 0
        ))
        expect(yield* sleepers).toBe(500)
        yield* Effect.sleep("10.5 days")
        expect(yield* sleepers).toBe(495)
        yield* Fiber.interruptAll(fibers)
        yield* Effect.sleep("1 second")
        expect(yield* sleepers).toBe(0)
      }).pipe(Effect.withClock(clock), Effect.withScheduler(scheduler))
    }))

  virtual(
    "times out what never ends, and only that",
    Effect.gen(function*() {
      expect(Option.isNone(yield* Effect.never.pipe(Effect.timeoutOption("90 days")))).toBe(true)
      expect(yield* Clock.currentTimeMillis).toBe(start + 90 * day)
      yield* Effect.sleep("1 second").pipe(Effect.timeoutOption("90 days"))
      expect(yield* Clock.currentTimeMillis).toBe(start + 90 * day + 1_000)
    })
  )

  virtual(
    "drives Effect's Schedules: a day of every 10 seconds",
    Effect.gen(function*() {
      const at: Array<number> = []
      const ticking = yield* Clock.currentTimeMillis.pipe(
        Effect.tap((now) => Effect.sync(() => at.push(now))),
        Effect.repeat(Schedule.spaced("10 seconds")),
        Effect.fork
      )
      yield* Effect.sleep(day - 1)
      yield* Fiber.interrupt(ticking)
      expect(at).toEqual(Array.from({ length: 8_640 }, (_, k) => start + k * 10_000))
    })
  )

  it.live("is there for every layer above it, and for the fibers they keep", () => {
    class Heartbeat extends Context.Tag("effect-lambda-scheduler/test/testing/VirtualClock.test/Heartbeat")<
      Heartbeat,
      Ref.Ref<number>
    >() {
      static readonly layer = Layer.scoped(
        Heartbeat,
        Effect.gen(function*() {
          const beats = yield* Ref.make(0)
          yield* Effect.addFinalizer(() => Effect.sleep("30 days"))
          yield* Ref.update(beats, (n) => n + 1).pipe(Effect.repeat(Schedule.spaced("1 hour")), Effect.forkScoped)
          return beats
        })
      )
    }
    return Effect.gen(function*() {
      const beats = yield* Heartbeat
      yield* Effect.sleep(365 * day + 1)
      expect(yield* Ref.get(beats)).toBe(365 * 24 + 1)
    }).pipe(Effect.provide(Heartbeat.layer.pipe(Layer.provideMerge(VirtualClock.layer))))
  })

  it.effect("takes the place of the TestClock", () =>
    Effect.sleep("365 days").pipe(
      Effect.zipRight(Clock.currentTimeMillis),
      Effect.map((now) => expect(now).toBe(start + 365 * day)),
      Effect.provide(VirtualClock.layer)
    ))
})
