// What a crash costs: two servers share one PostgreSQL, one of them is killed with -9 while it runs Tasks, and the other
// goes on with them. Ends with 0 only if every Task that was accepted has succeeded.
import { Console, Effect, Redacted } from "effect"
import JSZip from "jszip"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import pg from "pg"
import { EmbeddedPostgres } from "../dist/adapters/embedded/index.js"

const tasks = 40
const main = fileURLToPath(new URL("../dist/http/main.js", import.meta.url))
const color = process.stdout.isTTY && process.env.NO_COLOR === undefined
const paint = (code, text) => color ? `\u001b[${code}m${text}\u001b[0m` : text
const bold = (text) => paint(1, text)
const red = (text) => paint(31, text)
const green = (text) => paint(32, text)

const began = Date.now()
const say = (text) => console.log(`${((Date.now() - began) / 1_000).toFixed(1).padStart(5)} s  ${text}`)

/** A server process, once it listens. */
const startServer = (name, url) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main], {
      env: { PATH: process.env.PATH, PORT: "0", LAMBDA: "local", DATABASE_URL: url, CONCURRENCY: "6", LOG_FORMAT: "json" },
      stdio: ["ignore", "pipe", "ignore"]
    })
    let output = ""
    child.stdout.on("data", (chunk) => {
      output += chunk
      const port = /listens on http:\/\/\S+:(\d+) /.exec(output)?.[1]
      if (port !== undefined) resolve({ name, child, port: Number(port) })
    })
    child.on("exit", () => reject(new Error(`Server ${name} has ended: ${output}`)))
  })

const zipOf = async (source) => {
  const zip = new JSZip()
  zip.file("index.mjs", source)
  return zip.generateAsync({ type: "base64" })
}

const schedule = async (server, body) => {
  const response = await fetch(`http://127.0.0.1:${server.port}/createAndSchedule`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body)
  })
  if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`)
  return (await response.json()).id
}

const demo = async (url) => {
  const database = new pg.Client({ connectionString: url })
  await database.connect()
  const rows = async (statement, params = []) => (await database.query({ text: statement, values: params, rowMode: "array" })).rows
  const servers = []
  try {
    for (const name of ["A", "B"]) {
      servers.push(await startServer(name, url))
      say(`server ${bold(name)} is up: pid ${servers.at(-1).child.pid}, port ${servers.at(-1).port}, the same PostgreSQL`)
    }
    const [a, b] = servers
    // Who is who: the first lease is that of the server that started first.
    const instances = (await rows("SELECT id::text FROM lambda_scheduler.instances ORDER BY started_at")).flat()
    const nameOf = (id) => id === instances[0] ? "A" : id === instances[1] ? "B" : "?"

    const zippedCodeBase64 = await zipOf(
      "export const handler = async (event) => { await new Promise((r) => setTimeout(r, 1500)); return event.invoice }"
    )
    const accepted = []
    for (let invoice = 1; invoice <= tasks; invoice++) {
      accepted.push(
        await schedule(servers[invoice % 2], {
          name: "invoice",
          zippedCodeBase64,
          jsonPayload: { invoice },
          initialDelay: `${invoice * 100} millis`
        })
      )
    }
    say(`${tasks} Tasks accepted, each takes 1.5 s; both servers share them`)

    const look = async () => {
      const counts = { A: 0, B: 0, waiting: 0, done: 0 }
      for (
        const [status, owner, count] of await rows(
          "SELECT status, owner::text, count(*)::int FROM lambda_scheduler.tasks GROUP BY 1, 2"
        )
      ) {
        if (status === "Running") counts[nameOf(owner)] += count
        else if (status === "Scheduled") counts.waiting += count
        else counts.done += count
      }
      return counts
    }
    const show = ({ A, B, done, waiting }) =>
      say(`A runs ${String(A).padStart(2)}   B runs ${String(B).padStart(2)}   waiting ${String(waiting).padStart(2)}   done ${String(done).padStart(2)}`)

    let counts = await look()
    while (counts.A < 4 || counts.done < 8) {
      await sleep(250)
      show(counts = await look())
    }
    a.child.kill("SIGKILL")
    const killedAt = Date.now()
    const orphans = (await look()).A
    say(red(`kill -9 ${a.child.pid}: server A is gone, ${orphans} of its Tasks were running`))

    let takenOver = false
    for (;;) {
      counts = await look()
      if (!takenOver && counts.A === 0) {
        takenOver = true
        say(green(`B has taken over, ${((Date.now() - killedAt) / 1_000).toFixed(1)} s after the kill (a lease is 6 s)`))
      }
      show(counts)
      if (counts.done === tasks) break
      if (Date.now() - killedAt > 60_000) throw new Error("The Tasks are not done a minute after the kill")
      await sleep(500)
    }
    const outcomes = await rows("SELECT outcome, count(*)::int FROM lambda_scheduler.task_attempts GROUP BY 1 ORDER BY 1")
    const succeeded = (await rows(
      "SELECT id::text FROM lambda_scheduler.tasks WHERE status = 'Succeeded' AND id = ANY($1::uuid[])",
      [accepted]
    )).length
    say(`attempts: ${outcomes.map(([outcome, count]) => `${count} ${outcome}`).join(", ")}`)
    say(
      bold(`${tasks} accepted, ${succeeded} succeeded, ${tasks - succeeded} lost`) +
        "; what had been cut off is recorded as unknown and was run again"
    )
    if (succeeded !== tasks) process.exitCode = 1
    b.child.removeAllListeners("exit")
    b.child.kill("SIGTERM")
    await new Promise((resolve) => b.child.once("exit", resolve))
  } finally {
    for (const { child } of servers) {
      child.removeAllListeners("exit")
      child.kill("SIGKILL")
    }
    await database.end()
  }
}

const directory = mkdtempSync(join(tmpdir(), "demo-crash-"))
Effect.runPromise(
  Effect.gen(function*() {
    const { url, version } = yield* EmbeddedPostgres
    yield* Console.log(bold(`Two servers on one ${version}; one of them is going to be killed.`))
    yield* Effect.promise(() => demo(Redacted.value(url)))
  }).pipe(Effect.provide(EmbeddedPostgres.layer({ directory })))
).catch((error) => {
  console.error(error)
  process.exitCode = 1
}).finally(() => rmSync(directory, { recursive: true, force: true }))
