import { describe, expect, it } from "@effect/vitest"
import { ConfigProvider, Effect, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { EngineConfig } from "../../src/engine/EngineConfig.ts"
import { greeting } from "../../src/http/Greeting.ts"
import { environmentVariables, serverSettings } from "../../src/http/index.ts"
import { presentable } from "../../src/http/JsonLog.ts"

const read = (environment: Record<string, string>) =>
  Effect.withConfigProvider(serverSettings, ConfigProvider.fromMap(new Map(Object.entries(environment))))

describe("the environment", () => {
  it.effect("is optional", () =>
    Effect.gen(function*() {
      expect(yield* read({})).toEqual({
        host: "127.0.0.1",
        port: 8080,
        apiKey: undefined,
        insecureNoAuth: false,
        allowedHosts: [],
        lambda: {
          where: "local",
          reason: "no AWS credentials or role are set (AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_LAMBDA_ROLE_ARN, ...)"
        },
        store: { where: "embedded", directory: ".data/postgres", schema: "lambda_scheduler" },
        storeGiveUp: 300_000,
        concurrency: EngineConfig.defaults.concurrency,
        shutdownGrace: EngineConfig.defaults.shutdownGrace
      })
    }))

  it.effect("selects where Tasks are kept", () =>
    Effect.gen(function*() {
      const storeOf = (environment: Record<string, string>) => Effect.map(read(environment), ({ store }) => store)
      const url = "postgres://ada:secret@db:5432/jobs"
      const given = yield* storeOf({ DATABASE_URL: url, DATABASE_SCHEMA: "payroll" })
      expect(given).toMatchObject({ where: "postgres", schema: "payroll" })
      expect(given.where === "postgres" && Redacted.value(given.url)).toBe(url)
      expect(JSON.stringify(given)).not.toContain("secret")
      expect(yield* storeOf({ STORE: "memory", DATABASE_URL: url })).toEqual({ where: "memory" })
      expect(yield* storeOf({ DATA_DIR: "/data/postgres" })).toMatchObject({ directory: "/data/postgres" })
      for (
        const [environment, named] of [
          [{ STORE: "postgres" }, "DATABASE_URL"],
          [{ STORE: "sqlite" }, "STORE"],
          [{ DATABASE_SCHEMA: "No; DROP" }, "DATABASE_SCHEMA"],
          [{ STORE_GIVE_UP: "soon" }, "STORE_GIVE_UP"]
        ] as const
      ) {
        const error = yield* Effect.flip(read(environment))
        expect([error.reason, error.message.split(":")[0]]).toEqual(["ConfigInvalid", named])
      }
    }))

  it.effect("says everything", () =>
    Effect.gen(function*() {
      const settings = yield* read({
        HOST: "0.0.0.0",
        PORT: "0",
        API_KEY: " a key ",
        INSECURE_NO_AUTH: "1",
        ALLOWED_HOSTS: "scheduler.example, 10.0.0.5,[::2]:80,",
        LAMBDA: "aws",
        CONCURRENCY: "7",
        SHUTDOWN_GRACE: "PT5S"
      })
      expect(settings).toMatchObject({
        host: "0.0.0.0",
        port: 0,
        insecureNoAuth: true,
        allowedHosts: ["scheduler.example", "10.0.0.5", "[::2]:80"],
        lambda: { where: "aws", reason: "LAMBDA=aws" },
        concurrency: 7,
        shutdownGrace: 5_000
      })
      expect(settings.apiKey === undefined ? "" : Redacted.value(settings.apiKey)).toBe("a key")
      expect(JSON.stringify(settings)).not.toContain("a key")
    }))

  it.effect("an empty variable is as good as none", () =>
    Effect.gen(function*() {
      const empty = Object.fromEntries(environmentVariables.map(({ name }) => [name, " "]))
      expect(yield* read(empty)).toEqual(yield* read({}))
    }))

  it.effect("what does not fit is one line that names the variable", () =>
    Effect.gen(function*() {
      for (
        const [name, value, expected] of [
          ["PORT", "80a", "expected a whole number from 0 to 65535, got \"80a\""],
          ["PORT", "65536", "expected a whole number from 0 to 65535, got \"65536\""],
          ["PORT", "-1", "expected a whole number from 0 to 65535, got \"-1\""],
          ["HOST", "http://x/", "expected an address or a name without a port, got \"http://x/\""],
          ["INSECURE_NO_AUTH", "yes", "expected 1 or 0, got \"yes\""],
          ["LAMBDA", "gcp", "expected aws or local, got \"gcp\""],
          ["LOG_FORMAT", "xml", "expected json or pretty, got \"xml\""],
          ["CONCURRENCY", "0", "expected a whole number from 1 to 10000, got \"0\""],
          ["SHUTDOWN_GRACE", "-5 seconds", "expected a duration such as 30 seconds or PT30S, got \"-5 seconds\""],
          [
            "ALLOWED_HOSTS",
            "http://x",
            "expected names separated by commas, such as scheduler.example,10.0.0.5, got \"http://x\""
          ]
        ] as const
      ) {
        const error = yield* Effect.flip(read({ [name]: value }))
        expect(error).toMatchObject({ reason: "ConfigInvalid", message: `${name}: ${expected}` })
      }
    }))

  it.effect("selects where functions run, and says why", () =>
    Effect.gen(function*() {
      for (
        const [environment, where, reason] of [
          [{ AWS_LAMBDA_ROLE_ARN: "arn:aws:iam::123456789012:role/x" }, "aws", "AWS_LAMBDA_ROLE_ARN is set"],
          [{ AWS_ACCESS_KEY_ID: "AKIAX" }, "aws", "AWS_ACCESS_KEY_ID is set"],
          [{ AWS_PROFILE: "work" }, "aws", "AWS_PROFILE is set"],
          [{ AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: "/x" }, "aws", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is set"],
          [{ AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://x" }, "aws", "AWS_CONTAINER_CREDENTIALS_FULL_URI is set"],
          [{ AWS_WEB_IDENTITY_TOKEN_FILE: "/x" }, "aws", "AWS_WEB_IDENTITY_TOKEN_FILE is set"],
          [{ AWS_PROFILE: "work", LAMBDA: "local" }, "local", "LAMBDA=local"],
          [{ LAMBDA: "aws" }, "aws", "LAMBDA=aws"],
          [{ AWS_PROFILE: "" }, "local", "no AWS credentials"],
          [{ AWS_REGION: "eu-north-1" }, "local", "no AWS credentials"]
        ] as ReadonlyArray<readonly [Record<string, string>, string, string]>
      ) {
        const { lambda } = yield* read(environment)
        expect([environment, lambda.where]).toEqual([environment, where])
        expect(lambda.reason).toContain(reason)
      }
    }))

  it("the table names every variable that the code looks at, once", () => {
    const names = environmentVariables.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    const code = ["ServerConfig.ts", "LambdaTarget.ts"].map((file) => readFileSync(`src/http/${file}`, "utf8")).join("")
    const read = Array.from(
      code.matchAll(/(?:variable|text|integer|oneOf)\("([A-Z_]+)"|^ {2}"(AWS_[A-Z_]+)",?$/gm),
      ([, own, aws]) => own ?? aws
    )
    expect(read.length).toBeGreaterThan(10)
    expect(read.filter((name) => !names.includes(name ?? ""))).toEqual([])
  })
})

describe("the greeting", () => {
  const target = { where: "local", reason: "LAMBDA=local" } as const
  const url = "http://127.0.0.1:8080"
  const store = { where: "memory" } as const
  const secret = "s".repeat(40)
  const lines = (key: Parameters<typeof greeting>[0]["key"]) =>
    greeting({ url, key, runsOn: "this machine (Node 24)", target, store }).join("\n")

  it("says where it listens, where functions run and why, and how to try it", () => {
    const text = lines({ _tag: "NotNeeded" })
    expect(text).toContain("listens on http://127.0.0.1:8080 ")
    expect(text).toContain("Functions run on this machine (Node 24), because LAMBDA=local.")
    expect(text).toContain(
      `curl -X POST http://127.0.0.1:8080/schedule -H 'content-type: application/json' -d '{"name":"hello",`
    )
    expect(text).not.toMatch(/authorization|WARNING/)
  })

  it("shows a key that was made, never one that was configured, and warns without any", () => {
    expect(lines({ _tag: "Made", key: Redacted.make(secret) })).toContain(`-H 'authorization: Bearer ${secret}'`)
    const configured = lines({ _tag: "Configured", key: Redacted.make(secret) })
    expect(configured).not.toContain(secret)
    expect(configured).toContain("-H \"authorization: Bearer $API_KEY\"")
    expect(lines({ _tag: "Waived" })).toMatch(/^WARNING: INSECURE_NO_AUTH=1/m)
  })
})

describe("log lines", () => {
  it("hold no control characters and no secrets", () => {
    expect(presentable("a\u2028b\u009bc\u007fd")).toBe("a\\u2028b\\u009bc\\u007fd")
    expect(presentable("key AKIAIOSFODNN7EXAMPLE!")).toBe("key <access key>!")
    expect(presentable("authorization: Bearer abc.def-123")).toBe("authorization: Bearer <redacted>")
    expect(presentable("postgres://user:p%40w@db/x")).toBe("postgres://user:<redacted>@db/x")
    expect(presentable("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG")).toBe("aws_secret_access_key=<redacted>")
    expect(presentable("http://127.0.0.1:8080/list, a@b")).toBe("http://127.0.0.1:8080/list, a@b")
  })
})
