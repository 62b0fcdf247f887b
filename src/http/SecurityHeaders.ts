/** Headers of every answer: nothing is cached, framed, sniffed or shared with pages of other origins. */
import type { HttpServerResponse } from "@effect/platform/HttpServerResponse"
import { createHash } from "node:crypto"

export const securityHeaders = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'"
} as const

const policies = new WeakMap<object, string>()

/**
 * The policy of a page that brings its scripts with it: these very scripts run, and nothing is fetched from elsewhere.
 * Styles are not hashed, because Swagger's components set some while they run.
 */
export const policyOf = (page: HttpServerResponse): string => {
  const { body } = page
  if (body._tag !== "Uint8Array") return securityHeaders["content-security-policy"]
  const known = policies.get(body)
  if (known !== undefined) return known
  const scripts = Array.from(
    Buffer.from(body.body).toString("utf8").matchAll(/<script>([\s\S]*?)<\/script>/g),
    ([, source = ""]) => `'sha256-${createHash("sha256").update(source).digest("base64")}'`
  )
  const policy =
    `default-src 'none'; script-src ${scripts.join(" ")}; style-src 'unsafe-inline'; img-src 'self' data:; ` +
    "font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
  policies.set(body, policy)
  return policy
}
