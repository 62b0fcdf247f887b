/** Who may ask: the shape of the URL, the Host, the Origin, the key. Every route, loopback too. Pure. */
import type { Redacted } from "effect"
import { Redacted as Secret } from "effect"
import { createHash, timingSafeEqual } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { Problem } from "./Problem.ts"
import { problem } from "./Problem.ts"

/** Bytes of a URL. */
const maxUrlBytes = 2_048
/** Header lines of a request. */
const maxHeaders = 100

/** What decides is in these parts of a request. */
export type AccessRequest = Pick<IncomingMessage, "method" | "url" | "headers" | "rawHeaders">

export interface Access {
  /** Why a request is not served; `undefined` when it is. */
  readonly refuse: (request: AccessRequest) => Problem | undefined
  /** Whether the reasons of a failure may be told: to who has the key, or to all where there is none. */
  readonly mayKnowReasons: (request: AccessRequest) => boolean
}

/** For probes: no key, and by address rather than by name. */
const openPaths: ReadonlySet<string> = new Set(["/healthz", "/readyz"])

const hostHeader = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/i

/** A Host header or a configured host without its port, in lower case. */
const hostOf = (text: string): string | undefined => hostHeader.exec(text)?.[1]?.toLowerCase()

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()

// Digests are of one length, which timingSafeEqual needs, and tell nothing of the key's.
const keyCheck = (key: Redacted.Redacted | undefined) => {
  if (key === undefined) return () => true
  const expected = digest(Secret.value(key))
  return (authorization: string | undefined): boolean => {
    const given = /^Bearer +([\x21-\x7e]+)$/i.exec(authorization ?? "")?.[1]
    return given !== undefined && timingSafeEqual(digest(given), expected)
  }
}

const shapeProblem = ({ rawHeaders, url = "" }: AccessRequest): Problem | undefined => {
  if (!url.startsWith("/")) {
    return problem(400, "URL_INVALID", "The request line must hold a path, such as /list.")
  }
  if (url.length > maxUrlBytes) return problem(414, "URL_TOO_LONG", `The URL is longer than ${maxUrlBytes} bytes.`)
  return rawHeaders.length > 2 * maxHeaders
    ? problem(431, "HEADERS_TOO_MANY", `The request has more than ${maxHeaders} headers.`)
    : undefined
}

const changing: ReadonlySet<string | undefined> = new Set(["POST", "PUT", "PATCH", "DELETE"])

/** A page of this very server sends its own address as Origin; programs send none. */
const isOwnOrigin = ({ headers, method }: AccessRequest): boolean => {
  if (headers.origin !== undefined) {
    return headers.origin.toLowerCase().replace(/^https?:\/\//, "") === headers.host?.toLowerCase()
  }
  const site = headers["sec-fetch-site"]
  return !changing.has(method) || site === undefined || site === "same-origin" || site === "none"
}

/**
 * Decides who may ask.
 *
 * @param options `hosts`: names this server answers to, beside localhost, 127.0.0.1 and [::1]; `key`: absent where
 * none is needed
 *
 * @example
 * const access = makeAccess({ hosts: ["scheduler.example"], key: undefined })
 */
export const makeAccess = (options: {
  readonly hosts: ReadonlyArray<string>
  readonly key: Redacted.Redacted | undefined
}): Access => {
  const hosts = new Set(["localhost", "127.0.0.1", "[::1]", ...options.hosts.map(hostOf)])
  const hasKey = keyCheck(options.key)
  return {
    mayKnowReasons: (request) => hasKey(request.headers.authorization),
    refuse: (request) => {
      const misshapen = shapeProblem(request)
      if (misshapen !== undefined) return misshapen
      const isOpen = openPaths.has(request.url?.split("?", 1)[0] ?? "")
      const host = hostOf(request.headers.host ?? "")
      if (!isOpen && (host === undefined || !hosts.has(host))) {
        return problem(
          403,
          "HOST_NOT_ALLOWED",
          "This server does not answer to the name in the Host header. ALLOWED_HOSTS adds names."
        )
      }
      if (!isOwnOrigin(request)) {
        return problem(403, "ORIGIN_NOT_ALLOWED", "Requests from pages of another origin are not served.")
      }
      return isOpen || hasKey(request.headers.authorization)
        ? undefined
        : problem(401, "UNAUTHORIZED", "Send the API key: \"authorization: Bearer <API_KEY>\".")
    }
  }
}
