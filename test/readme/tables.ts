/** What README.md shows of the code, made from the code. */
import { EngineConfig } from "effect-lambda-scheduler"
import { deployPolicy } from "effect-lambda-scheduler/aws"
import { environmentVariables } from "effect-lambda-scheduler/http"

export const environmentHeader = "| variable | default | meaning |"
export const environmentRows = environmentVariables.map(({ default: value, meaning, name }) =>
  `| \`${name}\` | ${value} | ${meaning} |`
)

const shown = (value: unknown): string => {
  if (typeof value === "number") return value.toLocaleString("en-US")
  return `\`${typeof value === "function" ? value.name : JSON.stringify(value)}\``
}

export const engineHeader = "| setting | default | meaning |"
/** Without the last column, which says what the setting's own comment says. */
export const engineRows = Object.entries<unknown>({ ...EngineConfig.defaults }).map(([name, value]) =>
  `| \`${name}\` | ${shown(value)} |`
)
export const withoutMeaning = (row: string): string => row.replace(/\|[^|]*\|$/, "|")

export const policy = JSON.stringify(
  deployPolicy(
    { region: "eu-north-1", account: "123456789012", prefix: "jobs-" },
    "arn:aws:iam::123456789012:role/jobs"
  ),
  null,
  2
)
