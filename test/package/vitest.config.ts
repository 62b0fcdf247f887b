import { defineConfig } from "vitest/config"

/** What a user gets from the registry, installed as a user would; needs the npm registry and a build. */
export default defineConfig({
  test: { include: ["test/package/**/*.check.ts"], testTimeout: 120_000, hookTimeout: 300_000 }
})
