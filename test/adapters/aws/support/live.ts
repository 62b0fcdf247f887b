/** The real client against an address of the test's own, with keys that are nobody's. */
import { Effect, Layer, Redacted } from "effect"
import type { AwsLambdaOptions } from "../../../../src/adapters/aws/index.ts"
import { AwsLambdaClient } from "../../../../src/adapters/aws/index.ts"
import { LambdaClient } from "../../../../src/ports/LambdaClient.ts"
import type { InvokeRequest } from "../../../../src/ports/LambdaClient.ts"

const fakeCredentials = {
  accessKeyId: "AKIATESTTESTTEST0000",
  secretAccessKey: Redacted.make("canary-secret-access-key"),
  sessionToken: Redacted.make("canary-session-token")
}

export const testRole = "arn:aws:iam::123456789012:role/jobs"

/** A client whose layer lives as long as the test's scope. */
export const clientAt = (endpoint: string, options: AwsLambdaOptions = {}) =>
  Layer.build(
    AwsLambdaClient.layerWith({
      region: "eu-north-1",
      endpoint,
      credentials: fakeCredentials,
      role: testRole,
      ...options
    })
  ).pipe(Effect.flatMap((context) => Effect.provide(LambdaClient, context)))

export const request = (changes: Partial<InvokeRequest> = {}): InvokeRequest => ({
  target: { name: "hello", arn: undefined, qualifier: undefined, timeout: 3_000 },
  payload: `{"name":"Ada"}`,
  type: "RequestResponse",
  clientContext: undefined,
  notAfter: Infinity,
  timeout: 5_000,
  ...changes
})
