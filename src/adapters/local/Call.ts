/** What is said between us and a child process: that it is ready, and one call at a time. */
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import type { Millis } from "../../domain/Time.ts"
import type { Child, ExitStatus } from "./Child.ts"
import type { Frame } from "./Frames.ts"
import { encodeFrame } from "./Frames.ts"

/** How a start ended. */
export type Started =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "InitError"; readonly body: Buffer }
  | { readonly _tag: "Exited"; readonly status: ExitStatus }
  | { readonly _tag: "TimedOut"; readonly after: Millis }

/** What a call came to. */
export type Answer =
  | { readonly _tag: "Result"; readonly body: Buffer }
  /** The handler threw; the environment goes on. */
  | { readonly _tag: "Error"; readonly body: Buffer }
  /** An uncaught error; the environment is about to end. */
  | { readonly _tag: "Fatal"; readonly body: Buffer }
  | { readonly _tag: "Exited"; readonly status: ExitStatus }
  | { readonly _tag: "TimedOut"; readonly after: Millis }
  | { readonly _tag: "OutOfMemory" }
  /** A used environment ended, or did not listen, before the handler saw the call: another may have it. */
  | { readonly _tag: "NotBegun" }

export interface Call {
  readonly requestId: string
  readonly functionArn: string
  readonly payload: Buffer
  /** JSON text. */
  readonly clientContext: string | undefined
  /** Milliseconds: the function's timeout. */
  readonly timeout: Millis
  /** Bytes of memory at which the environment is ended. */
  readonly memory: number
  /** Whether the environment has had a call before, and may be busy with, or dying of, what that left behind. */
  readonly isWarm: boolean
}

/** How often a running call's memory is looked at. */
const watchInterval: Millis = 250
/** An environment that does not take a call within this time is busy with a leftover of an earlier one. */
const beginWithin: Millis = 1_000
/** How long a log that was printed may take to be read. */
const logWithin = "200 millis"

const awaitLog = (child: Child, frame: Frame): Effect.Effect<void> =>
  Effect.suspend(() => {
    const printed = frame.header.printed ?? 0
    if (child.log.hasPrinted(printed)) return Effect.void
    return Effect.async<void>((resume) => {
      const stop = child.log.whenPrinted(printed, () => resume(Effect.void))
      return Effect.sync(stop)
    }).pipe(Effect.timeoutOption(logWithin), Effect.asVoid)
  })

/** Listens first, then says `first`: no frame can slip through between. */
const nextFrame = (child: Child, isMine: (frame: Frame) => boolean, first?: Buffer): Effect.Effect<Frame> =>
  Effect.async<Frame>((resume) => {
    child.listen((frame) => {
      if (isMine(frame)) resume(Effect.succeed(frame))
    })
    if (first !== undefined) child.send(first)
  })

/** Waits until the handler is loaded. */
export const awaitReady = (child: Child, initTimeout: Millis): Effect.Effect<Started> => {
  const said = nextFrame(child, ({ header }) => header.type === "ready" || header.type === "initError").pipe(
    Effect.flatMap((frame): Effect.Effect<Started> =>
      frame.header.type === "ready"
        ? Effect.succeed({ _tag: "Ready" })
        : Effect.as(awaitLog(child, frame), { _tag: "InitError", body: frame.body })
    )
  )
  const exited = Effect.map(child.awaitExit, (status): Started => ({ _tag: "Exited", status }))
  const timedOut = Effect.as(Effect.sleep(initTimeout), { _tag: "TimedOut", after: initTimeout } as const)
  return Effect.raceAll([said, exited, timedOut])
}

/** Hands over one call and waits for what it comes to. The caller ends the environment unless it can go on. */
export const callChild = (child: Child, call: Call): Effect.Effect<Answer> =>
  Effect.suspend(() => {
    const token = randomBytes(16).toString("hex")
    const { clientContext, functionArn, requestId } = call
    let hasBegun = false

    const frame = encodeFrame({ token, requestId, functionArn, remaining: call.timeout, clientContext }, call.payload)
    const isAnswer = ({ header }: Frame) => {
      if (header.token !== token) return false
      if (header.type === "begun") hasBegun = true
      return header.type !== "begun"
    }
    const answered = nextFrame(child, isAnswer, frame).pipe(
      Effect.tap((answer) => awaitLog(child, answer)),
      Effect.map(({ body, header }): Answer => {
        if (isOverMemory(child, call.memory)) return { _tag: "OutOfMemory" }
        return { _tag: header.type === "result" ? "Result" : header.type === "error" ? "Error" : "Fatal", body }
      })
    )
    const isLost = () => call.isWarm && !hasBegun
    const exited = Effect.map(child.awaitExit, (status): Answer =>
      isLost() ? { _tag: "NotBegun" } : { _tag: "Exited", status })

    const watched = Effect.gen(function*(): Effect.fn.Return<Answer> {
      for (let waited = 0; waited < call.timeout; waited += watchInterval) {
        yield* Effect.sleep(Math.min(watchInterval, call.timeout - waited))
        if (isOverMemory(child, call.memory)) {
          return { _tag: "OutOfMemory" }
        }
        if (waited >= beginWithin && isLost()) {
          break
        }
      }
      if (!isLost()) {
        return { _tag: "TimedOut", after: call.timeout }
      }
      // It might begin this very moment: only its end tells.
      child.kill()
      return yield* exited
    })
    return Effect.raceAll([answered, exited, watched])
  })

const isOverMemory = (child: Child, limit: number): boolean => {
  const peak = child.peakMemory
  return peak !== undefined && peak > limit
}
