/** The model as the deployer's control plane, and as Lambda's REST API. */
import type { CreateFunctionRequest } from "@aws-sdk/client-lambda"
import { Effect } from "effect"
import { classifyDeployment } from "../../../../src/adapters/aws/classify.ts"
import type { ControlPlane } from "../../../../src/adapters/aws/ControlPlane.ts"
import type { Script } from "./endpoint.ts"
import { failure, json } from "./endpoint.ts"
import type { LambdaModel } from "./LambdaModel.ts"
import { ModelError } from "./LambdaModel.ts"

/** The model as a control plane, in process: time is whatever `behaviour.now` says. */
export const controlPlaneOf = (model: LambdaModel): ControlPlane => {
  const call = <A>(name: string, run: () => A) =>
    Effect.try({
      try: run,
      catch: (error) =>
        classifyDeployment(
          error instanceof ModelError
            ? { name: error.type, message: error.message, $metadata: { httpStatusCode: error.status } }
            : error,
          name,
          []
        )
    }).pipe(Effect.delay(model.behaviour.latency))
  return {
    configuration: (name) => call(name, () => model.getFunctionConfiguration(name)),
    tags: (name, arn) => call(name, () => model.listTags(arn)),
    create: (input) => call(input.FunctionName, () => model.createFunction(input)),
    updateCode: (input) => call(input.FunctionName, () => model.updateFunctionCode(input)),
    updateConfiguration: (input) => call(input.FunctionName, () => model.updateFunctionConfiguration(input)),
    tag: (name, arn, tags) => call(name, () => model.tagResource(arn, tags)),
    remove: (name) => call(name, () => model.deleteFunction(name))
  }
}

interface Sent extends Omit<CreateFunctionRequest, "Code"> {
  readonly Code?: { readonly ZipFile?: string }
  readonly ZipFile?: string
}

/** The model as a REST API; invocations echo their payload. */
export const scriptOf = (model: LambdaModel): Script => ({ body, method, path }) => {
  const parsed = (method === "GET" || path.endsWith("/invocations") || body.byteLength === 0
    ? {}
    : JSON.parse(body.toString("utf8"))) as Sent
  const zip = (text: string | undefined) => Buffer.from(text ?? "", "base64")
  const [, , collection, ...rest] = path.split("/")
  const [name = "", action] = rest
  try {
    if (collection === "tags") {
      const arn = path.slice(path.indexOf("arn:"))
      if (method === "GET") return json(200, { Tags: model.listTags(arn) })
      model.tagResource(arn, parsed.Tags ?? {})
      return { status: 204 }
    }
    switch (`${method} ${action ?? (name === "" ? "collection" : "function")}`) {
      case "POST collection":
        return json(
          201,
          model.createFunction({ ...parsed, Code: { ZipFile: zip(parsed.Code?.ZipFile) } })
        )
      case "GET configuration":
        return json(200, model.getFunctionConfiguration(name))
      case "PUT configuration":
        return json(200, model.updateFunctionConfiguration({ ...parsed, FunctionName: name }))
      case "PUT code":
        return json(
          200,
          model.updateFunctionCode({ ...parsed, FunctionName: name, ZipFile: zip(parsed.ZipFile) })
        )
      case "DELETE function":
        model.deleteFunction(name)
        return { status: 204 }
      case "POST invocations":
        return { status: 200, headers: { "x-amz-executed-version": "$LATEST" }, body }
      default:
        return failure(404, "UnknownOperationException", `${method} ${path}`)
    }
  } catch (error) {
    if (error instanceof ModelError) return failure(error.status, error.type, error.message)
    throw error
  }
}
