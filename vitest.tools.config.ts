import { defineConfig } from "vitest/config"

/** Tests that need Debian tools; `npm test` needs npm packages only. */
export default defineConfig({
  test: { include: ["test/tools/**/*.test.ts"], testTimeout: 300_000, hookTimeout: 300_000 }
})
