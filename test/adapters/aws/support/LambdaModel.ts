/** What AWS keeps of functions and how it changes them, as far as deploying can see: a model to test against. */
import type {
  CreateFunctionRequest,
  FunctionConfiguration,
  UpdateFunctionCodeRequest,
  UpdateFunctionConfigurationRequest
} from "@aws-sdk/client-lambda"
import { createHash } from "node:crypto"

export class ModelError extends Error {
  readonly status: number
  readonly type: string
  constructor(status: number, type: string, message: string) {
    super(message)
    this.status = status
    this.type = type
  }
}

export interface ModelFunction {
  configuration: FunctionConfiguration
  tags: Record<string, string>
  /** When the change in progress is done, and what it comes to. */
  pending: { readonly until: number; readonly become: Partial<FunctionConfiguration> } | undefined
}

/** How the model behaves; a test changes it as it goes. */
export interface ModelBehaviour {
  now: () => number
  /** Milliseconds from the creation of a function to Active. */
  activation: number
  /** Milliseconds that an update takes. */
  update: number
  /** What a creation comes to. */
  creationFails: string | undefined
  updateFails: string | undefined
  /** Until this instant no role can be assumed. */
  roleUsableFrom: number
  /** Milliseconds that a call is under way before it has its effect; in process only. */
  latency: number
  /** Called before each operation: a test's chance to interfere. */
  before: (operation: string, name: string) => void
}

const arnOf = (name: string): string => `arn:aws:lambda:eu-north-1:123456789012:function:${name}`
const nameOf = (arn: string): string => arn.slice(arn.lastIndexOf(":") + 1)

export const makeModel = (overrides: Partial<ModelBehaviour> = {}) => {
  const behaviour: ModelBehaviour = {
    now: () => 0,
    activation: 0,
    update: 0,
    creationFails: undefined,
    updateFails: undefined,
    roleUsableFrom: -Infinity,
    latency: 0,
    before: () => {},
    ...overrides
  }
  const functions = new Map<string, ModelFunction>()
  const calls: Array<string> = []
  let revision = 0

  const enter = (operation: string, name: string) => {
    behaviour.before(operation, name)
    calls.push(operation)
  }
  const find = (name: string): ModelFunction => {
    const found = functions.get(name)
    if (found === undefined) {
      throw new ModelError(404, "ResourceNotFoundException", `Function not found: ${arnOf(name)}`)
    }
    if (found.pending !== undefined && behaviour.now() >= found.pending.until) {
      found.configuration = { ...found.configuration, ...found.pending.become, RevisionId: `r${++revision}` }
      found.pending = undefined
    }
    return found
  }
  const checkRole = () => {
    if (behaviour.now() < behaviour.roleUsableFrom) {
      throw new ModelError(
        400,
        "InvalidParameterValueException",
        "The role defined for the function cannot be assumed by Lambda."
      )
    }
  }
  const change = (
    input: { readonly FunctionName?: string | undefined; readonly RevisionId?: string | undefined },
    changed: Partial<FunctionConfiguration>
  ): FunctionConfiguration => {
    const found = find(input.FunctionName ?? "")
    const { configuration } = found
    if (configuration.State === "Pending" || configuration.LastUpdateStatus === "InProgress") {
      throw new ModelError(409, "ResourceConflictException", "An update is in progress for this function.")
    }
    if (input.RevisionId !== undefined && input.RevisionId !== configuration.RevisionId) {
      throw new ModelError(412, "PreconditionFailedException", "The RevisionId provided does not match.")
    }
    found.configuration = {
      ...configuration,
      ...changed,
      LastUpdateStatus: "InProgress",
      RevisionId: `r${++revision}`
    }
    found.pending = {
      until: behaviour.now() + behaviour.update,
      become: behaviour.updateFails === undefined
        ? { LastUpdateStatus: "Successful" }
        : { LastUpdateStatus: "Failed", LastUpdateStatusReason: behaviour.updateFails }
    }
    return found.configuration
  }
  const sha256 = (zip: Uint8Array | undefined) => createHash("sha256").update(zip ?? new Uint8Array()).digest("base64")

  return {
    behaviour,
    functions,
    calls,
    getFunctionConfiguration: (name: string): FunctionConfiguration => {
      enter("GetFunctionConfiguration", name)
      return find(name).configuration
    },
    listTags: (arn: string): Record<string, string> => {
      enter("ListTags", nameOf(arn))
      return find(nameOf(arn)).tags
    },
    createFunction: (input: CreateFunctionRequest): FunctionConfiguration => {
      const name = input.FunctionName ?? ""
      enter("CreateFunction", name)
      if (functions.has(name)) {
        throw new ModelError(409, "ResourceConflictException", `Function already exist: ${name}`)
      }
      checkRole()
      const configuration: FunctionConfiguration = {
        FunctionName: name,
        FunctionArn: arnOf(name),
        Runtime: input.Runtime,
        Handler: input.Handler,
        Role: input.Role,
        MemorySize: input.MemorySize,
        Timeout: input.Timeout,
        Description: input.Description,
        ...(Object.keys(input.Environment?.Variables ?? {}).length > 0 && { Environment: input.Environment }),
        Architectures: input.Architectures,
        CodeSha256: sha256(input.Code?.ZipFile),
        State: "Pending",
        StateReason: "The function is being created.",
        RevisionId: `r${++revision}`
      }
      functions.set(name, {
        configuration,
        tags: { ...input.Tags },
        pending: {
          until: behaviour.now() + behaviour.activation,
          become: behaviour.creationFails === undefined
            ? { State: "Active", LastUpdateStatus: "Successful" }
            : { State: "Failed", StateReason: behaviour.creationFails, StateReasonCode: "InternalError" }
        }
      })
      return configuration
    },
    updateFunctionCode: (input: UpdateFunctionCodeRequest): FunctionConfiguration => {
      enter("UpdateFunctionCode", input.FunctionName ?? "")
      return change(input, {
        CodeSha256: sha256(input.ZipFile),
        ...(input.Architectures !== undefined && { Architectures: input.Architectures })
      })
    },
    updateFunctionConfiguration: (input: UpdateFunctionConfigurationRequest): FunctionConfiguration => {
      enter("UpdateFunctionConfiguration", input.FunctionName ?? "")
      checkRole()
      const { Description, Environment, Handler, MemorySize, Role, Runtime, Timeout } = input
      return change(
        input,
        { Description, Environment, Handler, MemorySize, Role, Runtime, Timeout }
      )
    },
    tagResource: (arn: string, tags: Readonly<Record<string, string>>): void => {
      enter("TagResource", nameOf(arn))
      Object.assign(find(nameOf(arn)).tags, tags)
    },
    deleteFunction: (name: string): void => {
      enter("DeleteFunction", name)
      find(name)
      functions.delete(name)
    }
  }
}

export type LambdaModel = ReturnType<typeof makeModel>
