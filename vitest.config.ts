import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import tsconfig from "./tsconfig.json" with { type: "json" }

/** Examples and the README import the package by its name: here that is the source. */
const alias = Object.entries(tsconfig.compilerOptions.paths).map(([name, [source]]) => ({
  find: new RegExp(`^${name}$`),
  replacement: fileURLToPath(new URL(source ?? "", import.meta.url))
}))

export default defineConfig({
  resolve: { alias },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    exclude: ["test/tools/**"],
    globalSetup: "test/support/postgresServer.ts",
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: "forks",
    poolOptions: { forks: { maxForks: 2 } }
  }
})
