/** Why the server did not start, or did not go on. */
import { Schema } from "effect"

/** The message is one line for people: what is wrong, and what to do about it. */
export class ServerError extends Schema.TaggedError<ServerError>()("ServerError", {
  reason: Schema.Literal("ConfigInvalid", "AddressInUse", "AddressRefused", "StoreFailed", "StoreGivenUp"),
  message: Schema.String
}) {}
