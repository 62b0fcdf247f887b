/** Pauses of a function, or of all of them, as all instances go by them: pure, the same for every store. */
import { Either, Schema } from "effect"
import { Pause } from "../domain/Pause.ts"

/** The state of what is not paused any more. */
export const running = "{\"v\":1,\"state\":\"running\"}"

const Paused = Schema.Struct({ v: Schema.Literal(1), state: Schema.Literal("paused"), ...Pause.fields })

const decode = Schema.decodeUnknownEither(Schema.parseJson(Paused))

/** Whether nothing may start. What a later version has written is not guessed at: it may mean that. */
export const isPaused = (state: string | undefined): boolean => state !== undefined && state !== running

/** A state in which nothing starts; who goes by it ends it when `until` has come. */
export const encodePause = (pause: Pause): string => JSON.stringify({ v: 1, state: "paused", ...pause })

/**
 * The pause of a state; `undefined` if it is none.
 *
 * @example
 * pauseOf('{"v":1,"state":"paused","since":0,"by":"ada"}') // { since: 0, by: "ada" }
 */
export const pauseOf = (state: string | undefined): Pause | undefined =>
  !isPaused(state) ? undefined : Either.match(decode(state), {
    onLeft: () => ({ since: 0, note: "by a later version" }),
    onRight: (paused) => {
      const { state: _, v: __, ...pause } = paused
      return pause
    }
  })
