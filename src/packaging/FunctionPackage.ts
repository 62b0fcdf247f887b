/** A function's code as AWS takes it: a zip and its digest. */
import type { FunctionSettings } from "../domain/LambdaFunction.ts"

export interface FunctionPackage {
  readonly settings: FunctionSettings
  readonly zip: Uint8Array
  /** Base64 of the SHA-256 of `zip`: what Lambda answers as `CodeSha256`. */
  readonly codeSha256: string
}
