/**
 * Functions that any instance's local runtime can run: their code, and the settings that running it takes. One contract
 * for every adapter (`test/ports/functionStoreContract.ts`). Lambda itself keeps the functions that run on AWS.
 */
import { Context } from "effect"
import type { Effect, Option } from "effect"
import type { TaskRepositoryError } from "../domain/Errors.ts"
import type { FunctionSettings } from "../domain/LambdaFunction.ts"

/** Which code and settings a name stands for. */
export interface FunctionVersion {
  /** Base64 of the SHA-256 of the zip. */
  readonly codeSha256: string
  /** Grows with every change of a name's code or settings, and is never used again for it, not even after a removal. */
  readonly revision: number
}

/** A function as it is handed in. Its name is that of its settings. */
export interface FunctionToStore {
  /** Secret values of its environment are stored as they are, since it is to run with them; they are never logged. */
  readonly settings: FunctionSettings
  readonly zip: Uint8Array
  /** Base64 of the SHA-256 of `zip`. */
  readonly codeSha256: string
}

export interface StoredFunction extends FunctionToStore, FunctionVersion {}

export interface StoredVersion extends FunctionVersion {
  readonly change: "created" | "updated" | "unchanged"
}

type Io<A> = Effect.Effect<A, TaskRepositoryError>

export class FunctionStore extends Context.Tag("effect-lambda-scheduler/ports/FunctionStore")<FunctionStore, {
  /** Stores a function, or replaces the one of its name. The same code and settings leave the revision as it is. */
  readonly put: (fn: FunctionToStore) => Io<StoredVersion>

  /** A function that cannot be read any more is a `Corrupt` error. */
  readonly get: (name: string) => Io<Option.Option<StoredFunction>>

  /** What `get` would answer, without the code: cheap enough to be asked every second. */
  readonly versionOf: (name: string) => Io<Option.Option<FunctionVersion>>

  /** All of them, by name. */
  readonly list: Io<ReadonlyArray<FunctionVersion & { readonly name: string }>>

  /** One that is not there is a success. */
  readonly remove: (name: string) => Io<void>
}>() {}
