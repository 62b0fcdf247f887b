/**
 * Judges the library's cron by a file of vectors; the `meta` of test/fixtures/cron.json explains the format.
 *
 *   npm run vectors -- test/fixtures/cron.json
 *
 * Prints the rows that are wrong, those whose expression or rule is not taken, and last how many there are of each. Ends
 * with code 1 when a row is wrong.
 */
import { readFileSync } from "node:fs"
import { judgeFile } from "../test/domain/cronVectors.ts"

const [file] = process.argv.slice(2)
if (file === undefined) {
  console.error("Usage: npm run vectors -- FILE")
  process.exit(2)
}

const count = { Right: 0, Wrong: 0, Refused: 0 }
for (const [row, verdict] of judgeFile(JSON.parse(readFileSync(file, "utf8")))) {
  count[verdict._tag]++
  if (verdict._tag === "Right") continue
  const from = row.after ?? row.at
  const name = [row.id, JSON.stringify(row.expr), row.tz, from && `${row.after ? "after" : "at"} ${from}`]
    .filter(Boolean).join(" ")
  if (verdict._tag === "Wrong") console.log(`wrong ${name}\n  expected ${verdict.expected}\n  got      ${verdict.got}`)
  else console.log(`refused ${name}\n  ${verdict.why}`)
}
console.log(`${count.Right} right, ${count.Wrong} wrong, ${count.Refused} refused`)
process.exit(count.Wrong > 0 ? 1 : 0)
