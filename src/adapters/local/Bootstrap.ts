/**
 * What runs inside each child process: it loads the handler, takes one call after the other from file descriptor 3
 * and answers there, as AWS's own runtime does over HTTP. It is kept as text because the child is plain Node without
 * this package: the text is written to a folder that an unprivileged user can read.
 *
 * Frames on descriptor 3, both ways: two unsigned 32-bit lengths (big endian), a JSON header, a body.
 * To the child: `{ token, requestId, functionArn, remaining, clientContext }` + payload.
 * From the child: `ready` or `initError` once; then `begun`, and `result`, `error` or `fatal` with the call's token.
 * Only this file knows the token, so nothing the handler prints, and no leftover of an earlier call, is an answer.
 */
export const bootstrapSource = String.raw`"use strict"
const fs = require("node:fs")
const net = require("node:net")
const path = require("node:path")
const { pathToFileURL } = require("node:url")
const { format } = require("node:util")
const { parse, stringify } = JSON
const { env } = process
const now = Date.now
const exit = process.exit.bind(process)

const maxResponseBytes = 6291556
const taskRoot = env.LAMBDA_TASK_ROOT
const handlerName = env._HANDLER
const takesCallbacks = Number(/\d+/.exec(env.AWS_EXECUTION_ENV)[0]) < 24

// What sends signals is taken away: without another uid nothing else keeps a handler from stopping its parent.
// (process.kill goes through process._kill.)
const ownPid = process.pid
const signal = process._kill
const refuse = () => {
  throw Object.assign(new Error("kill EPERM: a function may signal nobody but itself"), { code: "EPERM", syscall: "kill" })
}
process._kill = (pid, number) => (pid === ownPid ? signal(pid, number) : refuse())
process._debugProcess = refuse

// The call that runs, or undefined.
let current

// ---- The control channel ----
const control = new net.Socket({ fd: 3, readable: true, writable: true })
const empty = Buffer.alloc(0)
const concat = Buffer.concat
const send = (header, body, sent) => {
  const head = Buffer.from(stringify(header))
  const sizes = Buffer.alloc(8)
  sizes.writeUInt32BE(head.length, 0)
  sizes.writeUInt32BE(body.length, 4)
  control.write(concat([sizes, head, body]), sent)
}
// How much has been printed, so that the parent waits for the rest of the log before it passes the answer on.
const printed = () => process.stdout.bytesWritten + process.stderr.bytesWritten

// ---- Errors in AWS's shape ----
const named = (name, message) => {
  const error = new Error(message)
  error.name = name
  return error
}
const isError = (value) => value !== null && typeof value === "object" && typeof value.stack === "string" && "message" in value
const shapeOf = (thrown) => {
  try {
    return isError(thrown)
      ? { errorType: String(thrown.name), errorMessage: String(thrown.message), trace: thrown.stack.split("\n") }
      : { errorType: typeof thrown, errorMessage: String(thrown), trace: [] }
  } catch {
    return { errorType: "handled", errorMessage: "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack", trace: [] }
  }
}
// A message of megabytes helps nobody, and the body has a limit.
const longestText = 100000
const errorBody = (shape) => Buffer.from(stringify({
  errorType: shape.errorType.slice(0, 1000),
  errorMessage: shape.errorMessage.slice(0, longestText),
  trace: shape.trace.join("\n").slice(0, longestText).split("\n").filter((line) => line !== "")
}))

// ---- Logs in AWS's shape ----
const print = (stream, level, text) =>
  stream.write(new Date(now()).toISOString() + "\t" + (current === undefined ? "undefined" : current.requestId) + "\t" + level + "\t" +
    text.replace(/\n/g, "\r") + "\n")
const levels = { log: "INFO", info: "INFO", debug: "DEBUG", warn: "WARN", error: "ERROR", trace: "TRACE" }
for (const [method, level] of Object.entries(levels)) {
  console[method] = (...values) => {
    print(level === "INFO" || level === "DEBUG" ? process.stdout : process.stderr, level, format(...values))
  }
}
const logError = (title, shape) => print(process.stderr, "ERROR", title + " \t" + stringify({
  errorType: shape.errorType, errorMessage: shape.errorMessage.slice(0, longestText), stack: shape.trace
}))

// ---- The end of this process ----
let isEnding = false
const die = (title, error, code) => {
  if (isEnding) return
  isEnding = true
  const shape = shapeOf(error)
  logError(title, shape)
  send({ type: "fatal", token: current && current.token, printed: printed() }, errorBody(shape), () => exit(code))
}
process.on("uncaughtException", (error) => die("Uncaught Exception", error, 129))
process.on("unhandledRejection", (reason) => {
  const { errorMessage, errorType, trace } = shapeOf(reason)
  const error = named("Runtime.UnhandledPromiseRejection", isError(reason) ? errorType + ": " + errorMessage : errorMessage)
  error.stack = [error.name + ": " + error.message, ...trace.slice(1)].join("\n")
  die("Unhandled Promise Rejection", error, 128)
})
// The parent is gone, or done with us.
control.on("close", () => exit(0))
control.on("error", () => exit(0))

// ---- One call ----
const succeed = (call, value) => {
  if (current !== call || isEnding) return
  let text
  try {
    text = stringify(value === undefined ? null : value)
  } catch {
    return fail(call, new Error("Unable to stringify response body"))
  }
  const body = Buffer.from(text === undefined ? "null" : text)
  if (body.length > maxResponseBytes) {
    return finish(call, "error", errorBody({
      errorType: "Function.ResponseSizeTooLarge",
      errorMessage: "Response payload size exceeded maximum allowed payload size (" + maxResponseBytes + " bytes).",
      trace: []
    }))
  }
  finish(call, "result", body)
}
const fail = (call, error) => {
  if (current !== call || isEnding) return
  const shape = shapeOf(error)
  logError("Invoke Error", shape)
  finish(call, "error", errorBody(shape))
}
const finish = (call, type, body) => {
  const header = { type, token: call.token, printed: printed() }
  current = undefined
  control.ref()
  send(header, body)
}
// Nothing left to wait for: AWS answers null, or what the callback was given.
process.on("beforeExit", () => {
  if (current !== undefined) current.onIdle()
})

const isPromise = (value) => value !== null && typeof value === "object" && typeof value.then === "function"

const begin = (handler, header, payload) => {
  const deadline = now() + header.remaining
  const call = { token: header.token, requestId: header.requestId, onIdle: () => succeed(call, null) }
  current = call
  send({ type: "begun", token: call.token }, empty)
  // From here on only the handler's own work keeps the event loop busy, so that its end can be noticed.
  control.unref()
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: header.clientContext === undefined ? undefined : parse(header.clientContext),
    identity: undefined,
    invokedFunctionArn: header.functionArn,
    awsRequestId: header.requestId,
    getRemainingTimeInMillis: () => Math.max(0, deadline - now())
  }
  const callback = (error, value) => {
    const answer = () => (error === null || error === undefined ? succeed(call, value) : fail(call, error))
    if (context.callbackWaitsForEmptyEventLoop) call.onIdle = answer
    else answer()
  }
  let returned
  try {
    const event = parse(payload.toString("utf8"))
    returned = takesCallbacks ? handler(event, context, callback) : handler(event, context)
  } catch (error) {
    return fail(call, error)
  }
  if (isPromise(returned)) returned.then((value) => succeed(call, value), (error) => fail(call, error))
  // Node 24 on Lambda has no callbacks, so what is returned is the answer.
  else if (!takesCallbacks) succeed(call, returned)
}

// ---- The handler ----
const isFile = (name) => {
  try { return fs.statSync(name).isFile() } catch { return false }
}
const isModulePackage = (file) => {
  for (let folder = path.dirname(file); folder.startsWith(taskRoot); folder = path.dirname(folder)) {
    const manifest = path.join(folder, "package.json")
    if (isFile(manifest)) {
      try { return parse(fs.readFileSync(manifest, "utf8")).type === "module" } catch { return false }
    }
  }
  return false
}
const importFile = (file) => import(pathToFileURL(file).href)
const loadFile = (file) => {
  if (isFile(file)) return require(file)
  if (isFile(file + ".js")) return isModulePackage(file) ? importFile(file + ".js") : require(file + ".js")
  if (isFile(file + ".mjs")) return importFile(file + ".mjs")
  return require(file + ".cjs")
}
const loadHandler = async () => {
  const dot = handlerName.lastIndexOf(".")
  let loaded
  try {
    loaded = await loadFile(path.join(taskRoot, handlerName.slice(0, dot)))
  } catch (error) {
    const type = error instanceof SyntaxError ? "Runtime.UserCodeSyntaxError"
      : error && (error.code === "MODULE_NOT_FOUND" || error.code === "ERR_MODULE_NOT_FOUND") ? "Runtime.ImportModuleError"
      : undefined
    if (type === undefined) throw error
    const wrapped = named(type, String(error))
    wrapped.stack = type + ": " + error.stack
    throw wrapped
  }
  const handler = loaded[handlerName.slice(dot + 1)]
  if (handler === undefined || handler === null) throw named("Runtime.HandlerNotFound", handlerName + " is undefined or not exported")
  if (typeof handler !== "function") throw named("Runtime.HandlerNotFound", handlerName + " is not a function")
  if (!takesCallbacks && handler.length >= 3) {
    throw named("Runtime.CallbackHandlerDeprecated", "AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. " +
      "You need to modify this function to use a supported handler signature to use Node.js 24 or later.")
  }
  return handler
}

const listen = (handler) => {
  let chunks = []
  let size = 0
  control.on("data", (chunk) => {
    chunks.push(chunk)
    size += chunk.length
    // One call at a time: nothing follows a frame before its answer.
    if (size < 8 || (chunks[0].length >= 8 && size < frameLength(chunks[0]))) return
    const frame = chunks.length === 1 ? chunk : concat(chunks)
    if (size < frameLength(frame)) return
    chunks = []
    size = 0
    const headEnd = 8 + frame.readUInt32BE(0)
    begin(handler, parse(frame.toString("utf8", 8, headEnd)), frame.subarray(headEnd))
  })
}
const frameLength = (frame) => 8 + frame.readUInt32BE(0) + frame.readUInt32BE(4)

loadHandler().then(
  (handler) => {
    listen(handler)
    send({ type: "ready" }, empty)
  },
  (error) => {
    isEnding = true
    const shape = shapeOf(error)
    logError(isError(error) && shape.errorType.startsWith("Runtime.") ? "Init Error" : "Uncaught Exception", shape)
    send({ type: "initError", printed: printed() }, errorBody(shape), () => exit(1))
  }
)
`
