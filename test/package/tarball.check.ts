import { execFile } from "node:child_process"
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const execute = promisify(execFile)
const repository = fileURLToPath(new URL("../..", import.meta.url))

interface Packed {
  readonly filename: string
  readonly files: ReadonlyArray<{ readonly path: string }>
}

interface Manifest {
  readonly exports: Readonly<Record<string, unknown>>
  readonly devDependencies: Readonly<Record<string, string>>
}

/** The README's first TypeScript program: the one that everybody tries. */
const libraryProgram = async (): Promise<string> => {
  const readme = await readFile(join(repository, "README.md"), "utf8")
  const blocks = Array.from(readme.matchAll(/^```ts\n(.*?)^```$/gms), ([, block = ""]) => block)
  const program = blocks.find((block) => block.includes("from \"effect-lambda-scheduler\""))
  if (program === undefined) throw new Error("README.md shows no program that imports effect-lambda-scheduler")
  return program
}

describe("the packed tarball", () => {
  let scratch = ""
  let packed: Packed
  let manifest: Manifest
  const npm = (cwd: string, ...args: ReadonlyArray<string>) => execute("npm", args, { cwd })
  const node = (cwd: string, ...args: ReadonlyArray<string>) =>
    execute(process.execPath, args, { cwd, timeout: 60_000 })

  /** An empty project with the tarball and what else is asked for. */
  const project = async (name: string, ...install: ReadonlyArray<string>): Promise<string> => {
    const directory = join(scratch, name)
    await mkdir(directory)
    await writeFile(join(directory, "package.json"), JSON.stringify({ private: true, type: "module" }))
    await npm(directory, "install", "--no-audit", "--no-fund", join(scratch, packed.filename), "effect@3", ...install)
    return directory
  }

  const loads = (directory: string, ...entries: ReadonlyArray<string>) =>
    node(
      directory,
      "--input-type=module",
      "--eval",
      entries.map((entry) => `await import(${JSON.stringify(entry)})`).join("\n")
    )

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), "effect-lambda-scheduler-package-"))
    manifest = JSON.parse(await readFile(join(repository, "package.json"), "utf8")) as Manifest
    // Built before: as it is published, without another build in between.
    const { stdout } = await npm(repository, "pack", "--json", "--ignore-scripts", "--pack-destination", scratch)
    const [first] = JSON.parse(stdout) as ReadonlyArray<Packed>
    if (first === undefined) throw new Error(`npm pack answered ${stdout}`)
    packed = first
  })
  afterAll(() => rm(scratch, { recursive: true, force: true }))

  it("holds the built library, its sources and its papers, and nothing else", () => {
    const paths = packed.files.map(({ path }) => path)
    expect(paths).toEqual(
      expect.arrayContaining(["dist/index.js", "dist/index.d.ts", "src/index.ts", "README.md", "LICENSE"])
    )
    expect(paths.filter((path) => !/^(dist|src)\/|^(package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(path)))
      .toEqual([])
  })

  it("runs and type-checks the README's program in an empty project", async () => {
    const { "@types/node": nodeTypes, typescript } = manifest.devDependencies
    const directory = await project("program", `typescript@${typescript}`, `@types/node@${nodeTypes}`)
    await writeFile(join(directory, "program.ts"), await libraryProgram())
    const options = ["--module", "nodenext", "--moduleResolution", "nodenext", "--target", "es2022", "--strict"]
    await node(directory, "node_modules/typescript/bin/tsc", ...options, "--skipLibCheck", "program.ts")
    const { stdout } = await node(directory, "program.js")
    expect(stdout).toContain("{ hi: 'Ada' }")
  })

  it("loads every entry point in an empty project", async () => {
    const directory = await project("entries")
    const entries = Object.keys(manifest.exports).filter((entry) => entry !== "./package.json")
    expect(entries.length).toBeGreaterThan(0)
    await loads(directory, ...entries.map((entry) => entry.replace(/^\./, "effect-lambda-scheduler")))
  })

  it("needs only effect but for the server", async () => {
    // Without the peers that npm would install by itself.
    const directory = await project("effect-only", "--legacy-peer-deps")
    const isAbsent = expect(loads(directory, "@effect/platform"), `is there a node_modules above ${directory}?`)
    await isAbsent.rejects.toThrow("ERR_MODULE_NOT_FOUND")
    const without = ["", "/memory", "/aws", "/local", "/testing"].map((entry) => `effect-lambda-scheduler${entry}`)
    await loads(directory, ...without)
  })
})
