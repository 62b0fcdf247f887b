/** Everything README.md shows is run, and what it shows as output is what comes out. */
import { assert, describe, it } from "@effect/vitest"
import type { ChildProcess } from "node:child_process"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { env } from "node:process"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll } from "vitest"
import { blocks, masked, table } from "./support.ts"
import { engineHeader, engineRows, environmentHeader, environmentRows, policy, withoutMeaning } from "./tables.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const scratch = fileURLToPath(new URL("./scratch/", import.meta.url))
const run = promisify(execFile)

/** A plain environment: this machine's AWS settings must not change what the README shows. */
const environment = (more: Record<string, string>): Record<string, string> => ({
  ...Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] =>
      entry[1] !== undefined && !/^(AWS_|LAMBDA$|HOST$|PORT$|API_KEY$|VITEST|NODE_OPTIONS$)/.test(entry[0])
    )
  ),
  ...more
})

beforeAll(() => {
  mkdirSync(scratch, { recursive: true })
})
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true })
})

describe("the quick start", () => {
  let server: ChildProcess
  let printed = ""
  let origin = ""

  beforeAll(async () => {
    server = spawn("npm", ["start", "--silent"], {
      cwd: root,
      env: environment({ PORT: "0", DATA_DIR: `${scratch}postgres` }),
      detached: true
    })
    server.stdout?.on("data", (chunk: Buffer) => {
      printed += chunk.toString()
    })
    const deadline = performance.now() + 60_000
    while (!printed.includes("Try:")) {
      assert.isBelow(performance.now(), deadline, `npm start printed only: ${printed}`)
      await delay(50)
    }
    origin = /http:\/\/127\.0\.0\.1:\d+/.exec(printed)?.[0] ?? ""
  }, 90_000)

  afterAll(async () => {
    process.kill(-(server.pid ?? 0), "SIGTERM")
    await once(server, "exit")
  }, 40_000)

  it("prints what the README shows", () => {
    const shown = blocks.find((block) => block.language === "text")?.content ?? ""
    const seen = printed.slice(0, printed.indexOf("Try:")).replace(`${scratch}postgres`, ".data/postgres")
    assert.strictEqual(masked(seen), masked(shown))
  })

  const transcripts = blocks.filter((block) => block.language === "console")
  it("has transcripts", () => assert.isAbove(transcripts.length, 1))
  for (const { content } of transcripts) {
    for (const step of content.split(/^\$ /m).slice(1)) {
      const [command = "", ...output] = step.split("\n")
      it(command.slice(0, 100), async () => {
        const { stdout } = await run("sh", ["-c", command.replaceAll("http://127.0.0.1:8080", origin)], {
          // A system without curl gets one that knows what the README uses.
          env: environment({ PATH: `${env["PATH"] ?? ""}:${fileURLToPath(new URL("./bin", import.meta.url))}` })
        })
        assert.strictEqual(masked(stdout), masked(output.join("\n")))
      })
    }
  }
})

describe("the programs", () => {
  const programs = blocks.filter((block) => block.language === "ts")
  const [program, monthEnd, test] = programs

  it("are the library's, the month end's and the test's", () => assert.strictEqual(programs.length, 3))

  for (const [name, shownProgram] of [["library", program], ["month end", monthEnd]] as const) {
    it(`the ${name}'s prints what the README shows`, async () => {
      const file = `${scratch}${name.replace(" ", "-")}.ts`
      writeFileSync(file, shownProgram?.content ?? "")
      const { stdout } = await run(process.execPath, ["--import", "tsx", file], { cwd: root, env: environment({}) })
      const shown = blocks[blocks.indexOf(shownProgram ?? { language: "", content: "" }) + 1]?.content ?? ""
      // The runtime says on a line of its own when the declared runtime is not the Node it runs on.
      const lines = stdout.split("\n").filter((line) => !line.startsWith("timestamp="))
      assert.strictEqual(lines.join("\n").trimEnd(), shown.trimEnd())
    }, 60_000)
  }

  it("the month end's is the example", () => {
    const example = readFileSync(`${root}examples/month-end.ts`, "utf8")
    assert.strictEqual(example.slice(example.indexOf("import")).trimEnd(), monthEnd?.content.trimEnd())
  })

  it("the test passes", async () => {
    writeFileSync(`${scratch}year.test.ts`, test?.content ?? "")
    const { stdout } = await run(
      process.execPath,
      ["node_modules/vitest/vitest.mjs", "run", "test/readme/scratch", "--no-color"],
      { cwd: root, env: environment({ NO_COLOR: "1" }) }
    )
    assert.match(stdout, /Tests {2}1 passed/)
  }, 90_000)
})

describe("the tables", () => {
  it("environment variables", () => assert.deepStrictEqual(table(environmentHeader), environmentRows))
  it("engine settings", () => assert.deepStrictEqual(table(engineHeader).map(withoutMeaning), engineRows))
  it("the policy", () =>
    assert.deepStrictEqual(
      JSON.parse(blocks.find((block) => block.language === "json")?.content ?? ""),
      JSON.parse(policy)
    ))
})
