/** How tests read an answer of the domain's parsers. */
import { expect } from "@effect/vitest"
import { Either } from "effect"
import type { InvalidInput, InvalidInputReason } from "../../src/domain/Errors.ts"

/** Why it was refused; `null` when it was accepted. */
export const reasonOf = (verdict: Either.Either<unknown, InvalidInput>): InvalidInputReason | null =>
  Either.match(verdict, { onLeft: (refused) => refused.reason, onRight: () => null })

export const accepted = <A>(verdict: Either.Either<A, InvalidInput>): A =>
  Either.getOrElse(verdict, (refused) => expect.fail(`refused: ${refused.message}`))

export const refused = (verdict: Either.Either<unknown, InvalidInput>): InvalidInput =>
  Either.match(verdict, {
    onLeft: (refused) => refused,
    onRight: (value) => expect.fail(`accepted: ${String(value)}`)
  })
