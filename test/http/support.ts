/** A server on a free port, with the real engine and store and scripted functions; and plain node:http to ask it. */
import { expect } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import type { Scope } from "effect"
import type { IncomingHttpHeaders } from "node:http"
import { Agent, request as nodeRequest } from "node:http"
import { connect } from "node:net"
import { MemoryTaskRepository } from "../../src/adapters/memory/index.ts"
import { DeploymentError } from "../../src/domain/Deployment.ts"
import { EngineConfig } from "../../src/engine/EngineConfig.ts"
import type { EngineSettings } from "../../src/engine/EngineConfig.ts"
import { LambdaScheduler } from "../../src/engine/LambdaScheduler.ts"
import type { ServerError, ServerOptions } from "../../src/http/index.ts"
import { SchedulerServer, TaskAnswer } from "../../src/http/index.ts"
import { packageFunction } from "../../src/packaging/Package.ts"
import { LambdaClient } from "../../src/ports/LambdaClient.ts"
import { TaskRepository } from "../../src/ports/TaskRepository.ts"
import type { Script } from "../../src/testing/ScriptedLambdaClient.ts"
import { ScriptedLambdaClient } from "../../src/testing/ScriptedLambdaClient.ts"

const decodeTask = Schema.decodeUnknownSync(TaskAnswer, { onExcessProperty: "error" })
const decodeTasks = Schema.decodeUnknownSync(Schema.Array(TaskAnswer), { onExcessProperty: "error" })
const decodeProblem = Schema.decodeUnknownSync(
  Schema.Struct({
    type: Schema.Literal("about:blank"),
    title: Schema.NonEmptyString,
    status: Schema.Int,
    detail: Schema.NonEmptyString,
    code: Schema.String.pipe(Schema.pattern(/^[A-Z0-9_]+$/))
  }),
  { onExcessProperty: "error" }
)

export class Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  constructor(status: number, headers: IncomingHttpHeaders, text: string) {
    this.status = status
    this.headers = headers
    this.text = text
  }
  get body(): unknown {
    return JSON.parse(this.text) as unknown
  }
  get task(): TaskAnswer {
    return decodeTask(this.body)
  }
  get tasks(): ReadonlyArray<TaskAnswer> {
    return decodeTasks(this.body)
  }
  /** The body, checked to be a problem document that agrees with the status. */
  get problem() {
    const problem = decodeProblem(this.body)
    expect(this.headers["content-type"]).toBe("application/problem+json")
    expect(problem.status).toBe(this.status)
    return problem
  }
  /** Status and code of a problem. */
  get refusal(): readonly [status: number, code: string] {
    return [this.status, this.problem.code]
  }
}

export interface Question {
  readonly headers?: Record<string, string | ReadonlyArray<string>>
  /** Sent as JSON, with its content type. */
  readonly json?: unknown
  /** Sent as it is. */
  readonly body?: string | Uint8Array
}

/** Asks over a connection of its own. */
export const askPort = (port: number, method: string, path: string, question: Question = {}): Effect.Effect<Answer> =>
  Effect.promise((signal) =>
    new Promise<Answer>((resolve, reject) => {
      const body = question.json === undefined ? question.body : JSON.stringify(question.json)
      const request = nodeRequest({
        host: "127.0.0.1",
        port,
        method,
        path,
        signal,
        agent: new Agent({ keepAlive: false }),
        headers: {
          ...(question.json === undefined ? {} : { "content-type": "application/json" }),
          ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
          ...question.headers
        }
      }, (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", reject).on("end", () => {
          resolve(new Answer(response.statusCode ?? 0, response.headers, Buffer.concat(chunks).toString("utf8")))
        })
      })
      request.on("error", reject)
      request.end(body)
    })
  )

/** Writes bytes to a socket and answers all that comes back until the other side closes it. */
export const rawExchange = (port: number, ...pieces: ReadonlyArray<string | Uint8Array>): Effect.Effect<string> =>
  Effect.async((resume) => {
    const socket = connect(port, "127.0.0.1")
    const chunks: Array<Buffer> = []
    const done = () => resume(Effect.succeed(Buffer.concat(chunks).toString("latin1")))
    socket.on("data", (chunk) => chunks.push(chunk)).on("error", done).on("close", done)
    for (const piece of pieces) socket.write(piece)
    return Effect.sync(() => socket.destroy())
  })

export interface Served {
  readonly port: number
  readonly server: SchedulerServer["Type"]
  readonly records: ScriptedLambdaClient["Type"]
  readonly get: (path: string, question?: Question) => Effect.Effect<Answer>
  readonly post: (path: string, json?: unknown, question?: Question) => Effect.Effect<Answer>
  readonly ask: (method: string, path: string, question?: Question) => Effect.Effect<Answer>
  /** Asks for a Task's result until it is there. */
  readonly result: (name: string) => Effect.Effect<TaskAnswer>
}

export interface ServeOptions {
  readonly scripts?: Readonly<Record<string, Script>>
  readonly server?: ServerOptions
  readonly engine?: Partial<EngineSettings>
  /** Names of functions that somebody else has deployed. */
  readonly foreign?: ReadonlyArray<string>
  /** Every deployment fails like this. */
  readonly deploymentError?: DeploymentError
  readonly region?: string
  /** Changes the scheduler. */
  readonly scheduler?: (scheduler: LambdaScheduler["Type"]) => LambdaScheduler["Type"]
  /** Changes the store. */
  readonly store?: (store: TaskRepository["Type"]) => TaskRepository["Type"]
}

/** Packages for real, and knows functions that are not ours. */
const lambdaClient = (options: ServeOptions): Layer.Layer<LambdaClient | ScriptedLambdaClient> =>
  Layer.effect(
    LambdaClient,
    Effect.map(LambdaClient, (scripted) =>
      LambdaClient.of({
        ...scripted,
        region: options.region,
        deploy: (fn) =>
          Effect.gen(function*() {
            yield* packageFunction(fn)
            if (options.deploymentError !== undefined) return yield* options.deploymentError
            if (options.foreign?.includes(fn.name) === true) {
              return yield* new DeploymentError({
                reason: "NotOwned",
                functionName: fn.name,
                message: `Function ${fn.name} exists and is not ours`
              })
            }
            return yield* scripted.deploy(fn)
          })
      }))
  ).pipe(Layer.provideMerge(ScriptedLambdaClient.layer(options.scripts)))

const repository = (change: ServeOptions["store"]): Layer.Layer<TaskRepository> =>
  change === undefined
    ? MemoryTaskRepository.layer
    : Layer.effect(TaskRepository, Effect.map(TaskRepository, change)).pipe(Layer.provide(MemoryTaskRepository.layer))

const plain = Layer.orDie(LambdaScheduler.layer)

const scheduler = (change: ServeOptions["scheduler"]) =>
  change === undefined
    ? plain
    : Layer.effect(LambdaScheduler, Effect.map(LambdaScheduler, change)).pipe(Layer.provide(plain))

/** Starts a server that ends with the scope. */
export const serve = (options: ServeOptions = {}): Effect.Effect<Served, ServerError, Scope.Scope> =>
  SchedulerServer.layer({ port: 0, ...options.server }).pipe(
    Layer.provide(scheduler(options.scheduler)),
    Layer.provide(EngineConfig.layer({ shutdownGrace: 1_000, ...options.engine })),
    Layer.provideMerge(Layer.merge(repository(options.store), lambdaClient(options))),
    Layer.build,
    Effect.map((context) => {
      const server = Context.get(context, SchedulerServer)
      const ask: Served["ask"] = (method, path, question) => askPort(server.port, method, path, question)
      return {
        port: server.port,
        server,
        records: Context.get(context, ScriptedLambdaClient),
        ask,
        get: (path, question) => ask("GET", path, question),
        post: (path, json, question) => ask("POST", path, { ...question, ...(json === undefined ? {} : { json }) }),
        result: (name) => {
          const poll: Effect.Effect<TaskAnswer> = Effect.flatMap(
            ask("GET", `/result/${name}`),
            ({ task }) => task.finishedAt === null ? Effect.delay(poll, "5 millis") : Effect.succeed(task)
          )
          return poll.pipe(Effect.timeout("5 seconds"), Effect.orDie)
        }
      }
    })
  )
