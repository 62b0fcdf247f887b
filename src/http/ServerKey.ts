/** Whether a key is needed, and which: no server listens beyond this machine without one, unless told so in words. */
import { Effect, Redacted } from "effect"
import { randomBytes } from "node:crypto"
import { ServerError } from "./ServerError.ts"

export type ServerKey =
  /** Nobody but this machine can ask. */
  | { readonly _tag: "NotNeeded" }
  /** Everybody can ask, and the operator wants it so. */
  | { readonly _tag: "Waived" }
  | { readonly _tag: "Configured"; readonly key: Redacted.Redacted }
  /** Made for this run; to be printed once. */
  | { readonly _tag: "Made"; readonly key: Redacted.Redacted }

/** Characters of a key at the least. */
export const minKeyLength = 32

/** Whether only this machine can reach a host. A name may mean any address, but for localhost. */
export const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host)

const checked = (key: Redacted.Redacted): Effect.Effect<Redacted.Redacted, ServerError> =>
  new RegExp(`^[\\x21-\\x7e]{${minKeyLength},}$`).test(Redacted.value(key))
    ? Effect.succeed(key)
    : new ServerError({
      reason: "ConfigInvalid",
      message: `API_KEY: expected at least ${minKeyLength} characters of ASCII without spaces, got ${
        Redacted.value(key).length
      }. "openssl rand -hex 32" makes one.`
    })

/**
 * Decides on the key.
 *
 * @returns the decision, or `ServerError` (`ConfigInvalid`) when the key given is too weak
 */
export const decideKey = (options: {
  readonly host: string
  readonly apiKey: Redacted.Redacted | undefined
  readonly insecureNoAuth: boolean
}): Effect.Effect<ServerKey, ServerError> => {
  if (options.apiKey !== undefined) {
    return Effect.map(checked(options.apiKey), (key) => ({ _tag: "Configured", key }))
  }
  if (isLoopback(options.host)) return Effect.succeed({ _tag: "NotNeeded" })
  return options.insecureNoAuth
    ? Effect.succeed({ _tag: "Waived" })
    : Effect.sync(() => ({ _tag: "Made", key: Redacted.make(randomBytes(32).toString("base64url")) }))
}
