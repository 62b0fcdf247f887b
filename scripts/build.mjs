// Compiles src/ to dist/. With --if-stale it does nothing when dist/ is newer than every source file,
// so that `npm start` works after `npm ci --ignore-scripts` and after an edit, and costs nothing otherwise.
import { spawnSync } from "node:child_process"
import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
process.chdir(root)
const stamp = "dist/.built"

const newest = (directory) =>
  Math.max(
    ...readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => statSync(`${entry.parentPath ?? entry.path}/${entry.name}`).mtimeMs)
  )
const isFresh = () => {
  const built = statSync(stamp, { throwIfNoEntry: false })
  return built !== undefined && built.mtimeMs >= Math.max(newest("src"), statSync("tsconfig.build.json").mtimeMs)
}

if (!(process.argv.includes("--if-stale") && isFresh())) {
  rmSync("dist", { recursive: true, force: true })
  const tsc = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"], {
    stdio: "inherit"
  })
  if (tsc.status !== 0) process.exit(tsc.status ?? 1)
  writeFileSync(stamp, "")
}
