/**
 * How a child process is held: Node's permission model, an environment built from an allow-list, resource limits, and
 * as root another user. A seat belt for trusted code, not a sandbox.
 */
import { Redacted } from "effect"
import { accessSync, constants } from "node:fs"
import type { FunctionSettings } from "../../domain/LambdaFunction.ts"
import type { LocalSettings } from "./LocalSettings.ts"

/** Whom children run as. */
export interface User {
  readonly uid: number
  readonly gid: number
}

/** The user called "nobody" on Linux: it owns nothing. */
export const unprivileged: User = { uid: 65534, gid: 65534 }

/** Everything that starting one child takes. */
export interface LaunchPlan {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly user: User | undefined
}

const [major = 0] = process.versions.node.split(".").map(Number)
export const nodeMajor: number = major

const permissionFlag = process.allowedNodeEnvironmentFlags.has("--permission")
  ? "--permission"
  : "--experimental-permission"

const permissionFlags = (bootstrap: string, taskRoot: string, tmp: string, network: boolean) => [
  permissionFlag,
  `--allow-fs-read=${bootstrap}`,
  `--allow-fs-read=${taskRoot}/*`,
  `--allow-fs-read=${tmp}/*`,
  `--allow-fs-write=${tmp}/*`,
  ...(network && nodeMajor >= 25 ? ["--allow-net"] : [])
]

const prlimit = ["/usr/bin/prlimit", "/bin/prlimit"].find((path) => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
})

/** Files of 512 MB (AWS's /tmp), 256 descriptors, no core dumps; processes only where the user is the children's own. */
const limits = (user: User | undefined) => [
  "--nofile=256",
  "--fsize=536870912",
  "--core=0",
  ...(user === undefined ? [] : ["--nproc=4096"])
]

/** The mark by which processes that left their group are found. */
export const environmentMark = "EFFECT_LAMBDA_ENVIRONMENT"

const childEnvironment = (options: LaunchOptions): Record<string, string> => {
  const { settings } = options
  const own = Object.entries(settings.environment).map(([name, value]) =>
    [name, typeof value === "string" ? value : String(Redacted.value(value))] as const
  )
  return {
    ...Object.fromEntries(own),
    _HANDLER: settings.handler,
    AWS_EXECUTION_ENV: `AWS_Lambda_${settings.runtime}`,
    AWS_LAMBDA_FUNCTION_NAME: settings.name,
    AWS_LAMBDA_FUNCTION_VERSION: "$LATEST",
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(settings.memory),
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${settings.name}`,
    AWS_LAMBDA_LOG_STREAM_NAME: options.logStream,
    AWS_LAMBDA_INITIALIZATION_TYPE: "on-demand",
    AWS_REGION: options.local.region,
    AWS_DEFAULT_REGION: options.local.region,
    AWS_EC2_METADATA_DISABLED: "true",
    LAMBDA_TASK_ROOT: options.taskRoot,
    HOME: options.tmp,
    TMPDIR: options.tmp,
    PATH: "/usr/bin:/bin",
    LANG: "en_US.UTF-8",
    TZ: ":UTC",
    [environmentMark]: options.id
  }
}

export interface LaunchOptions {
  /** Of this environment: random. */
  readonly id: string
  readonly logStream: string
  readonly bootstrap: string
  /** The unpacked code; read only. */
  readonly taskRoot: string
  /** The only folder it may write to. */
  readonly tmp: string
  readonly settings: FunctionSettings
  readonly local: LocalSettings
  readonly user: User | undefined
}

/** How to start one child. */
export const launchPlan = (options: LaunchOptions): LaunchPlan => {
  const { bootstrap, local, settings, taskRoot, tmp, user } = options
  const node = [
    process.execPath,
    // What AWS's own runtime gives V8 of the function's memory.
    `--max-old-space-size=${Math.floor(settings.memory * 0.9)}`,
    // Else each log would begin with a warning about the permission model.
    "--disable-warning=ExperimentalWarning",
    "--disable-warning=SecurityWarning",
    ...(local.permissions ? permissionFlags(bootstrap, taskRoot, tmp, local.network) : []),
    bootstrap
  ]
  const [command = process.execPath, ...args] = prlimit === undefined ? node : [prlimit, ...limits(user), ...node]
  return { command, args, env: childEnvironment(options), cwd: taskRoot, user }
}
