import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import tsconfig from "./tsconfig.json" with { type: "json" }

/** Examples and the README import the package by its name: here that is the source. */
const alias = Object.entries(tsconfig.compilerOptions.paths).map(([name, [source]]) => ({
  find: new RegExp(`^${name}$`),
  replacement: fileURLToPath(new URL(source ?? "", import.meta.url))
}))

/** Tests of what keeps nothing outside of itself: they share a process, and the modules in it. */
const pure = ["domain", "engine", "packaging", "policies", "ports", "adapters/memory"].map((part) =>
  `test/${part}/**/*.test.ts`
)

export default defineConfig({
  resolve: { alias },
  test: {
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: "forks",
    poolOptions: { forks: { maxForks: 2 } },
    projects: [
      { extends: true, test: { name: "pure", include: pure, poolOptions: { forks: { isolate: false } } } },
      {
        extends: true,
        test: {
          name: "parts",
          include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
          exclude: ["test/tools/**", "test/package/**", ...pure],
          globalSetup: "test/support/postgresServer.ts"
        }
      }
    ]
  }
})
