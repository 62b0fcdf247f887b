/** Takes README.md apart, and masks what differs from run to run. */
import { readFileSync } from "node:fs"

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8")

export interface Block {
  readonly language: string
  readonly content: string
}

/** The fenced blocks, in order. */
export const blocks: ReadonlyArray<Block> = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map((match) => ({
  language: match[1] ?? "",
  content: match[2] ?? ""
}))

/** Ids, instants, versions and ports differ from run to run; everything else is compared to the letter. */
export const masked = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<id>")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, "<time>")
    .replace(/Node \d+\.\d+\.\d+/g, "Node <version>")
    .replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:<port>")
    .trimEnd()

/** The rows of the table that begins with this header. */
export const table = (header: string): ReadonlyArray<string> => {
  const [, after = ""] = readme.split(`${header}\n`)
  const rows = after.split("\n").slice(1)
  return rows.slice(0, rows.findIndex((row) => !row.startsWith("|")))
}
