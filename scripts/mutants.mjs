/**
 * Removes one guard after the other from a copy of the sources, and expects the tests that name it to fail: a rule whose
 * removal nobody notices is not a rule. Each `test/mutants/*.patch` begins with two lines, what it takes away and
 * `# tests: ...`; the rest is a diff against `src/`.
 *
 *   npm run test:mutants                       all of them
 *   npm run test:mutants -- reap settle        those with one of these words in their name
 *
 * The working tree itself is never changed. Fails when a mutant survives, when a patch no longer applies, and when the
 * tests fail without one.
 */
import { spawn, spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const patches = join(root, "test/mutants")
const copied = ["src", "test", "examples", "package.json", "tsconfig.json", "vitest.config.ts"]
/** Milliseconds after which tests count as failed: a mutant may well make something wait for ever. */
const longest = 180_000

const words = process.argv.slice(2)
const mutants = readdirSync(patches)
  .filter((file) => file.endsWith(".patch"))
  .map((file) => {
    const [why = "", tests = ""] = readFileSync(join(patches, file), "utf8").split("\n")
    return {
      name: file.slice(0, -".patch".length),
      file: join(patches, file),
      why: why.replace(/^# /, ""),
      tests: tests.startsWith("# tests: ") ? tests.slice("# tests: ".length).trim().split(/\s+/) : []
    }
  })
  .filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))
  .sort((one, other) => one.name < other.name ? -1 : 1)

const needsPostgres = (tests) =>
  tests.some((test) => /\/adapters\/sql\/|\.\/stage\.ts/.test(`${test}\n${readFileSync(join(root, test), "utf8")}`))

const directory = mkdtempSync(join(tmpdir(), "scheduler-mutants-"))
const children = new Set()
const clean = () => {
  for (const child of children) kill(child)
  rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
}
// A group of its own each, so that what a child has started ends with it.
const kill = (child, signal = "SIGTERM") => {
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It has ended.
  }
}
process.on("exit", clean)
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1))

/** A copy of what the tests need, with the real node_modules. */
const makeCopy = (number) => {
  const copy = join(directory, String(number))
  for (const name of copied) {
    mkdirSync(dirname(join(copy, name)), { recursive: true })
    cpSync(join(root, name), join(copy, name), { recursive: true })
  }
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"))
  for (const [name, more] of [["with", ""], ["without", "delete config.test.globalSetup"]]) {
    writeFileSync(
      join(copy, `vitest.${name}.config.mjs`),
      `import config from "./vitest.config.ts"
config.cacheDir = "./.vite"
config.test.poolOptions = { forks: { maxForks: 1 } }
${more}
export default config
`
    )
  }
  return copy
}

/** Runs tests in a copy; answers how many failed and what the first failure says, or that nothing could be run. */
const runTests = (copy, tests, bail) =>
  new Promise((resolve) => {
    const report = join(copy, "report.json")
    rmSync(report, { force: true })
    const child = spawn(
      process.execPath,
      [
        join(root, "node_modules/vitest/vitest.mjs"),
        "run",
        `--config=vitest.${needsPostgres(tests) ? "with" : "without"}.config.mjs`,
        "--reporter=json",
        `--outputFile=${report}`,
        `--bail=${bail}`,
        "--no-color",
        ...tests
      ],
      { cwd: copy, detached: true, stdio: ["ignore", "pipe", "pipe"] }
    )
    children.add(child)
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data) => {
        output = (output + data).slice(-20_000)
      })
    }
    let isOver = false
    const timer = setTimeout(() => {
      isOver = true
      kill(child)
      setTimeout(() => kill(child, "SIGKILL"), 5_000).unref()
    }, longest)
    child.on("exit", () => {
      clearTimeout(timer)
      children.delete(child)
      if (isOver) return resolve({ failed: 1, first: `nothing within ${longest / 1_000} s`, output })
      if (!existsSync(report)) return resolve({ failed: 0, broken: true, first: "vitest did not get as far as a report", output })
      const { numFailedTests, numTotalTests, testResults } = JSON.parse(readFileSync(report, "utf8"))
      const first = testResults.flatMap((file) => file.assertionResults).find(({ status }) => status === "failed")
      // A file that cannot even be loaded proves nothing.
      const broken = numTotalTests === 0 || testResults.some((file) =>
        file.status === "failed" && file.assertionResults.length === 0 && file.message !== "")
      resolve({ failed: numFailedTests, broken: broken && first === undefined, first: first?.fullName ?? testResults[0]?.message ?? "", output })
    })
  })

const apply = (copy, file, ...more) =>
  spawnSync("git", ["apply", "-p1", ...more, file], {
    cwd: copy,
    encoding: "utf8",
    // A repository around the copy, if there is one, has no part in this.
    env: { ...process.env, GIT_CEILING_DIRECTORIES: directory, GIT_DIR: "/dev/null" }
  })

const short = (text, length) => text.length > length ? `${text.slice(0, length - 1)}…` : text
const results = []
const row = ({ first, mutant, seconds, verdict }) =>
  console.log(`${verdict.padEnd(9)} ${mutant.name.padEnd(44)} ${seconds.toFixed(1).padStart(6)} s  ${short(first, 110)}`)

const test = async (copy, mutant) => {
  const began = performance.now()
  const done = (verdict, first, output = "") => {
    const result = { mutant, verdict, first, output, seconds: (performance.now() - began) / 1_000 }
    results.push(result)
    row(result)
  }
  if (mutant.tests.length === 0) return done("BROKEN", "its second line names no tests")
  const missing = mutant.tests.find((file) => !existsSync(join(copy, file)))
  if (missing !== undefined) return done("BROKEN", `${missing} is not there`)
  const applied = apply(copy, mutant.file)
  if (applied.status !== 0) return done("BROKEN", `does not apply: ${applied.stderr.trim().split("\n")[0] ?? ""}`)
  const { broken, failed, first, output } = await runTests(copy, mutant.tests, 1)
  const undone = apply(copy, mutant.file, "-R")
  if (undone.status !== 0) throw new Error(`${mutant.name} could not be taken back: ${undone.stderr}`)
  if (broken) return done("BROKEN", first, output)
  done(failed > 0 ? "killed" : "SURVIVED", failed > 0 ? first : mutant.why, failed > 0 ? "" : output)
}

if (mutants.length === 0) {
  console.error(`No mutant has ${words.join(" or ")} in its name.`)
  process.exit(1)
}
const workers = Math.max(1, Math.min(2, availableParallelism()))
const copies = Array.from({ length: workers }, (_, index) => makeCopy(index))

// Without any of them all must be well: otherwise a failure shows nothing.
const files = [...new Set(mutants.flatMap(({ tests }) => tests))].filter((file) => existsSync(join(root, file)))
const shares = copies.map((_, index) => files.filter((__, at) => at % workers === index))
const whole = await Promise.all(copies.map((copy, index) =>
  shares[index].length === 0 ? { failed: 0, first: "" } : runTests(copy, shares[index], 0)
))
const unwell = whole.find(({ broken, failed }) => broken === true || failed > 0)
if (unwell !== undefined) {
  console.error(`The tests fail without any mutant: ${unwell.first}\n${unwell.output.slice(-2_000)}`)
  process.exit(1)
}
console.log(`${mutants.length} mutants; their ${files.length} test files pass without them.\n`)

const left = mutants.slice()
await Promise.all(copies.map(async (copy) => {
  for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) await test(copy, mutant)
}))

const bad = results.filter(({ verdict }) => verdict !== "killed")
console.log(`\n${results.length - bad.length} of ${results.length} killed.`)
for (const { first, mutant, output, verdict } of bad) {
  console.log(`\n${verdict} ${mutant.name}: ${first}`)
  if (verdict === "BROKEN" && output !== "") console.log(output.slice(-1_500))
}
process.exit(bad.length === 0 ? 0 : 1)
