import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import type { FailedTask } from "../../../src/index.ts"
import { LambdaScheduler } from "../../../src/index.ts"
import { ScriptedLambdaClient } from "../../../src/testing/index.ts"
import { freshSchemaName } from "../../support/postgres.ts"
import { connections, engineIn, eventually, job } from "./support.ts"

/** Two engines on one store, each with its own connections; whatever has `bad` in its event fails for good. */
const two = Effect.suspend(() => {
  const schema = freshSchemaName()
  const scripts = {
    job: ({ payload }: { readonly payload: { readonly bad?: boolean } }) =>
      payload.bad === true ? ScriptedLambdaClient.fail("AccessDenied") : "fine"
  }
  const one = Effect.map(
    Layer.build(engineIn(schema, { scripts, connections: connections() })),
    Context.get(LambdaScheduler)
  )
  return Effect.all([one, one])
})

describe("dead letters of two instances on PostgreSQL", () => {
  it.scopedLive("50 redrives at once make one, whose payload stands (I16)", () =>
    Effect.gen(function*() {
      const [one, other] = yield* two
      const letter = yield* one.schedule(job, { payload: { bad: true } })
      yield* eventually(one.get(letter.id), ({ status }) => status === "Failed")
      const answers = yield* Effect.forEach(
        Array.from({ length: 50 }),
        (_, index) =>
          Effect.either((index % 2 === 0 ? one : other).deadLetters.redrive(letter.id, { payload: { index } })),
        { concurrency: "unbounded" }
      )
      const made = answers.flatMap((answer) => answer._tag === "Right" ? [answer.right] : [])
      assert.deepStrictEqual(made.map(({ isNew }) => isNew), [true])
      const task = made[0]?.task ?? assert.fail("one was made")
      for (const answer of answers) {
        if (answer._tag === "Left") assert.deepInclude(answer.left, { reason: "OtherPayload", redrivenAs: task.id })
      }
      yield* eventually(other.get(task.id), ({ status }) => status === "Succeeded")
      assert.strictEqual(((yield* one.get(letter.id)) as FailedTask).redrivenAs, task.id)
      assert.strictEqual((yield* one.list()).items.length, 2)
    }))

  it.scopedLive("both redrive all while a third purges: each dead letter once at the most, and none is left", () =>
    Effect.gen(function*() {
      const [one, other] = yield* two
      yield* one.scheduleAll(job, Array.from({ length: 600 }, () => ({ payload: { bad: true } })))
      yield* eventually(one.deadLetters.count(), (count) => count === 600)
      const redriving = ({ deadLetters }: typeof one) =>
        Stream.runCount(deadLetters.redriveAll({}, { batch: 40, payload: {} }))
      const [first, second, purged] = yield* Effect.all(
        [redriving(one), redriving(other), other.deadLetters.purge({ redriven: true })],
        { concurrency: "unbounded" }
      )
      assert.strictEqual(first + second, 600)
      assert.strictEqual(purged + (yield* one.deadLetters.purge({})), 600)
      yield* eventually(one.list({ status: ["Succeeded"] }), ({ items }) => items.length === 600)
      const { items } = yield* other.list()
      assert.strictEqual(new Set(items.map(({ redriveOf }) => redriveOf)).size, 600)
    }))
})
