/** What a person reads when the configuration is at fault. Documented and stable: say them the same everywhere. */
import { Redacted } from "effect"

export const roleMissing = "AWS_LAMBDA_ROLE_ARN not set"
export const regionMissing = "AWS_REGION not set"
export const credentialsMissing = "AWS credentials not found"
export const neverActive = (name: string): string => `Function ${name} never became active`

const longest = 500

/**
 * One line of foreign text, fit for a message and a log. AWS's own messages can carry what nobody should read there:
 * a refused signature is answered with the signed headers (the session token is one), a refused environment with its
 * values.
 *
 * @param secrets values that must not be shown
 *
 * @example
 * tidy("Refused: AKIAIOSFODNN7EXAMPLE\nhost:lambda", []) // "Refused: <access key>"
 */
export const tidy = (text: string, secrets: ReadonlyArray<string>): string => {
  const [line = ""] = text.trimStart().split(/[\r\n\u2028\u2029]/, 1)
  const unkeyed = line.replace(/\bA[KS]IA[A-Z0-9]{12,}\b/g, "<access key>")
  const clean = secrets.reduce((shown, secret) => shown.replaceAll(secret, "<redacted>"), unkeyed)
    .replace(/\p{Cc}/gu, " ")
  return clean.length > longest ? `${clean.slice(0, longest - 1)}…` : clean
}

// Shorter values, such as "1", would tear holes into any message and are hardly secrets.
const shortestSecret = 4

/**
 * The values of an environment, plain and as JSON text would show them, longest first so that none is cut by another.
 */
export const secretsOf = (
  environment: Readonly<Record<string, string | Redacted.Redacted>>
): ReadonlyArray<string> =>
  Object.values(environment)
    .map((value) => typeof value === "string" ? value : String(Redacted.value(value)))
    .flatMap((value) => [value, JSON.stringify(value).slice(1, -1)])
    .filter((value) => value.length >= shortestSecret)
    .sort((a, b) => b.length - a.length)
