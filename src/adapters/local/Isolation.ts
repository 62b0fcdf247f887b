/**
 * How a child process is held: Node's permission model, an environment built from an allow-list, resource limits, and
 * as root another user. A seat belt for trusted code, not a sandbox.
 */
import { Effect, Redacted } from "effect"
import { execFile } from "node:child_process"
import { access, constants } from "node:fs/promises"
import type { FunctionSettings } from "../../domain/LambdaFunction.ts"
import type { LocalSettings } from "./LocalSettings.ts"

/** Whom children run as. */
export interface User {
  readonly uid: number
  readonly gid: number
}

/** The user called "nobody" on Linux: it owns nothing. */
export const unprivileged: User = { uid: 65534, gid: 65534 }

const [major = 0] = process.versions.node.split(".").map(Number)
export const nodeMajor: number = major

const permissionFlag = process.allowedNodeEnvironmentFlags.has("--permission")
  ? "--permission"
  : "--experimental-permission"

const permissionFlags = ({ bootstrap, local, taskRoot, tmp }: LaunchOptions) => [
  permissionFlag,
  `--allow-fs-read=${bootstrap}`,
  // The folder itself must not be named beside what it holds: Node 20 aborts on that.
  `--allow-fs-read=${taskRoot}/*`,
  `--allow-fs-read=${tmp}/*`,
  `--allow-fs-write=${tmp}/*`,
  ...(local.network && nodeMajor >= 25 ? ["--allow-net"] : [])
]

/** Programs that set limits and then become the program named after them. */
export type Launcher = ReadonlyArray<string>

/**
 * What this system has of them. `setpriv` ends a child when we are killed; `prlimit` allows files of 512 MB (AWS's
 * /tmp), 256 descriptors and no core dumps, and bounds the processes of a user who has no others.
 */
const launchers = (user: User | undefined): ReadonlyArray<Launcher> => [
  ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"],
  [
    "/usr/bin/prlimit",
    "--nofile=256",
    "--fsize=536870912",
    "--core=0",
    ...(user === undefined ? [] : ["--nproc=4096"])
  ]
]

/** Whether Node starts by this launcher, as this user. */
export const starts = (launcher: Launcher, user: User | undefined): Effect.Effect<boolean> => {
  const [program = process.execPath, ...args] = [...launcher, process.execPath, "--version"]
  return Effect.async((resume) => {
    try {
      execFile(program, args, { ...user, cwd: "/", env: {} }, (error) => resume(Effect.succeed(error === null)))
    } catch {
      // A user that this system does not let us become.
      resume(Effect.succeed(false))
    }
  })
}

const isExecutable = (program: string): Effect.Effect<boolean> =>
  Effect.promise(() => access(program, constants.X_OK).then(() => true, () => false))

/** The launchers that work here, in one line of command. */
export const findLauncher = (user: User | undefined): Effect.Effect<Launcher> =>
  Effect.map(
    Effect.filter(
      launchers(user),
      (launcher) =>
        Effect.flatMap(isExecutable(launcher[0] ?? ""), (isThere) =>
          isThere ? starts(launcher, user) : Effect.succeed(false)),
      { concurrency: "unbounded" }
    ),
    (found) =>
      found.flat()
  )

/** The mark by which processes that left their group are found. */
export const environmentMark = "EFFECT_LAMBDA_ENVIRONMENT"

const childEnvironment = (options: LaunchOptions): Record<string, string> => {
  const { local, settings } = options
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
    AWS_REGION: local.region,
    AWS_DEFAULT_REGION: local.region,
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
  readonly launcher: Launcher
  readonly user: User | undefined
}

/** Everything that starting one child takes. */
export interface LaunchPlan {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly user: User | undefined
  /** Whether the child may start processes, which may then leave its group. */
  readonly mayFork: boolean
}

/** How to start one child. */
export const launchPlan = (options: LaunchOptions): LaunchPlan => {
  const { local, settings } = options
  const [command = process.execPath, ...args] = [
    ...options.launcher,
    process.execPath,
    // What AWS's own runtime gives V8 of the function's memory.
    `--max-old-space-size=${Math.floor(settings.memory * 0.9)}`,
    // Else each log would begin with a warning about the permission model.
    "--disable-warning=ExperimentalWarning",
    ...(local.permissions ? permissionFlags(options) : []),
    options.bootstrap
  ]
  return {
    command,
    args,
    env: childEnvironment(options),
    cwd: options.taskRoot,
    user: options.user,
    mayFork: !local.permissions
  }
}
