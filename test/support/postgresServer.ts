/**
 * One throw-away PostgreSQL for a whole test run: vitest starts it before the first test and removes it after the last.
 * Tests reach it by ./postgres.ts, which cannot be the same file: vitest's own parts are not for a `globalSetup`.
 */
import { Context, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { EmbeddedPostgres } from "../../src/adapters/embedded/index.ts"
import { findRunning } from "../../src/adapters/embedded/PidFile.ts"
import { signal } from "../../src/adapters/embedded/Processes.ts"
import { Programs } from "../../src/adapters/embedded/Programs.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly postgresUrl: string
  }
}

const prefix = "scheduler-test-postgres-"

/** What runs left behind that were killed. */
const sweep = (): void => {
  for (const name of readdirSync(tmpdir()).filter((name) => name.startsWith(prefix))) {
    const directory = join(tmpdir(), name)
    const pid = findRunning(join(directory, "cluster", "data"))?.pid
    if (!existsSync(join(directory, "programs")) || !new Programs(join(directory, "programs")).isAlone) continue
    if (pid !== undefined) signal(pid, "SIGQUIT")
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** The `globalSetup`; answers its teardown. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  sweep()
  const directory = mkdtempSync(join(tmpdir(), prefix))
  const scope = Effect.runSync(Scope.make())
  const remove = () => rmSync(directory, { recursive: true, force: true })
  try {
    const layer = EmbeddedPostgres.layer({ directory, fsync: false })
    const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
    const { url } = Context.get(context, EmbeddedPostgres)
    project.provide("postgresUrl", Redacted.value(url))
  } catch (error) {
    remove()
    throw error
  }
  return async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    remove()
  }
}
