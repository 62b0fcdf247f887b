/**
 * What every FunctionStore must do. An adapter's test is one call:
 *
 * @example
 * functionStoreContract("postgres", SqlFunctionStore.layer.pipe(Layer.provide(connections)))
 */
import { describe, expect, it } from "@effect/vitest"
import type { Layer } from "effect"
import { Effect, Option, Redacted } from "effect"
import { createHash } from "node:crypto"
import type { FunctionSettings } from "../../src/domain/LambdaFunction.ts"
import type { FunctionToStore, StoredFunction } from "../../src/ports/FunctionStore.ts"
import { FunctionStore } from "../../src/ports/FunctionStore.ts"

const settings: FunctionSettings = {
  name: "hello",
  runtime: "nodejs24.x",
  handler: "index.handler",
  role: undefined,
  memory: 128,
  timeout: 3_000,
  architecture: "x86_64",
  environment: {},
  tags: {},
  description: undefined
}

/** A function of any bytes: what is in a zip is no concern of the store. */
const fn = (
  changes: Partial<FunctionSettings> = {},
  zip: Uint8Array = Uint8Array.of(80, 75, 0, 255)
): FunctionToStore => ({
  settings: { ...settings, ...changes },
  zip,
  codeSha256: createHash("sha256").update(zip).digest("base64")
})

/** What is stored, with its secrets readable, so that they are compared. */
const plain = (stored: StoredFunction) => ({
  ...stored,
  zip: [...stored.zip],
  settings: {
    ...stored.settings,
    environment: Object.fromEntries(
      Object.entries(stored.settings.environment).map(([name, value]) => [
        name,
        Redacted.isRedacted(value) ? `secret ${Redacted.value(value)}` : value
      ])
    )
  }
})

const get = (name: string) => Effect.map(Effect.flatMap(FunctionStore, (store) => store.get(name)), Option.map(plain))

/** @param layer makes an empty store each time it is built */
export const functionStoreContract = <E>(name: string, layer: Layer.Layer<FunctionStore, E>): void => {
  describe(`FunctionStore: ${name}`, () => {
    const test = (what: string, body: Effect.Effect<void, unknown, FunctionStore>) =>
      it.live(what, () => Effect.provide(body, layer))

    test(
      "brings back what was put, to the byte, and secrets as secrets",
      Effect.gen(function*() {
        const store = yield* FunctionStore
        const given = fn({
          role: "arn:aws:iam::123456789012:role/x",
          memory: 512,
          timeout: 900_000,
          architecture: "arm64",
          environment: { TOKEN: Redacted.make("$1'\"\\ \u2028é😀"), PLAIN: "", LOOKS: `{"secret":"no"}` },
          tags: { "a b": "c", constructor: "d" },
          description: "It's \0 \ud800 \"quoted\""
        }, Uint8Array.from({ length: 100_000 }, (_, index) => index * 7 % 256))
        const put = yield* store.put(given)
        expect(put).toMatchObject({ change: "created", codeSha256: given.codeSha256 })
        expect(Number.isSafeInteger(put.revision)).toBe(true)
        const stored = yield* store.get("hello")
        expect(Option.map(stored, plain)).toEqual(Option.some(plain({ ...given, revision: put.revision })))
        expect(JSON.stringify(stored)).not.toContain("😀")
        // Also what is left open, and no bytes at all.
        const bare = fn({ name: "bare" }, new Uint8Array(0))
        const { revision } = yield* store.put(bare)
        expect(yield* get("bare")).toEqual(Option.some(plain({ ...bare, revision })))
      })
    )

    test(
      "a version says which code and settings a name stands for",
      Effect.gen(function*() {
        const store = yield* FunctionStore
        expect(yield* store.versionOf("hello")).toEqual(Option.none())
        const { codeSha256, revision } = yield* store.put(fn())
        const version = Option.getOrThrow(yield* store.versionOf("hello"))
        expect([version.codeSha256, version.revision]).toEqual([codeSha256, revision])
      })
    )

    test(
      "the revision grows with each change of code or settings, a secret's too, and with nothing else",
      Effect.gen(function*() {
        const store = yield* FunctionStore
        const secret = (value: string) => ({
          environment: { AA: Redacted.make(value), BB: "1" },
          tags: { x: "1", y: "2" }
        })
        const steps = [
          fn(secret("one")),
          fn(secret("two")),
          fn({ ...secret("two"), memory: 256 }),
          fn({}, Uint8Array.of(1)),
          fn({}, Uint8Array.of(2))
        ]
        let last = 0
        for (const [index, step] of steps.entries()) {
          const { change, revision } = yield* store.put(step)
          expect([index, change]).toEqual([index, index === 0 ? "created" : "updated"])
          expect(revision).toBeGreaterThan(last)
          last = revision
          expect(yield* store.put(step)).toEqual({ change: "unchanged", revision, codeSha256: step.codeSha256 })
        }
        const { revision } = yield* store.put(fn(secret("one")))
        // Another order is the same.
        const turned = fn({ environment: { BB: "1", AA: Redacted.make("one") }, tags: { y: "2", x: "1" } })
        expect(yield* store.put(turned)).toMatchObject({ change: "unchanged", revision })
      })
    )

    test(
      "removes; what is not there is removed already; and a revision never comes back",
      Effect.gen(function*() {
        const store = yield* FunctionStore
        const first = yield* store.put(fn())
        yield* store.remove("hello")
        yield* store.remove("hello")
        expect(yield* get("hello")).toEqual(Option.none())
        expect(yield* store.versionOf("hello")).toEqual(Option.none())
        expect(yield* store.list).toEqual([])
        const again = yield* store.put(fn({ memory: 256 }))
        expect(again.change).toBe("created")
        expect(again.revision).toBeGreaterThan(first.revision)
      })
    )

    test(
      "names are told apart to the letter, and listed in order",
      Effect.gen(function*() {
        const store = yield* FunctionStore
        const names = ["demo", "Demo", "__proto__", "constructor", "a-b", "a_b", "A".repeat(64)]
        for (const [index, name] of names.entries()) yield* store.put(fn({ name, memory: 128 + index }))
        for (const [index, name] of names.entries()) {
          expect(Option.getOrThrow(yield* get(name)).settings).toMatchObject({ name, memory: 128 + index })
        }
        expect((yield* store.list).map(({ name }) => name)).toEqual([...names].sort())
        for (const { codeSha256, name, revision } of yield* store.list) {
          expect(Option.getOrThrow(yield* get(name))).toMatchObject({ codeSha256, revision })
        }
      })
    )

    test(
      "of many writers at a time each is answered, and the last revision is what is there",
      Effect.gen(function*() {
        const store = yield* FunctionStore
        const puts = yield* Effect.forEach(
          Array.from({ length: 40 }, (_, index) => fn({ memory: 128 + index % 4 })),
          (given) => Effect.map(store.put(given), (put) => ({ ...put, memory: given.settings.memory })),
          { concurrency: "unbounded" }
        )
        const changed = puts.filter(({ change }) => change !== "unchanged")
        expect(puts.filter(({ change }) => change === "created").length).toBe(1)
        expect(new Set(changed.map(({ revision }) => revision)).size).toBe(changed.length)
        const stored = Option.getOrThrow(yield* get("hello"))
        const last = Math.max(...changed.map(({ revision }) => revision))
        expect([stored.revision, stored.settings.memory]).toEqual([
          last,
          changed.find(({ revision }) => revision === last)?.memory
        ])
      })
    )
  })
}
