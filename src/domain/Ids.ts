/** Identifiers, branded so that they cannot be mixed up, and made by the caller (UUID version 7). */
import { Schema } from "effect"

export const TaskId = Schema.UUID.pipe(Schema.brand("TaskId"))
export type TaskId = typeof TaskId.Type

export const TaskScheduleId = Schema.UUID.pipe(Schema.brand("TaskScheduleId"))
export type TaskScheduleId = typeof TaskScheduleId.Type

export const BackfillId = Schema.UUID.pipe(Schema.brand("BackfillId"))
export type BackfillId = typeof BackfillId.Type

/** One boot of one process. */
export const InstanceId = Schema.UUID.pipe(Schema.brand("InstanceId"))
export type InstanceId = typeof InstanceId.Type

const digits = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0))

/** Written in place and read as one flat string: joined from pieces, an id would drag its pieces along for life. */
const scratch = Buffer.from("00000000-0000-7000-8000-000000000000", "latin1")

const write = (value: number, from: number, count: number): void => {
  let rest = value
  for (let index = from + count - 1; index >= from; index--) {
    scratch[index] = digits[rest & 0xf] as number
    rest >>>= 4
  }
}

/**
 * A UUID version 7 (RFC 9562, section 5.7): 48 bits of time, then a 12-bit counter (section 6.2, method 1), then
 * 62 random bits. Ids made in one process are strictly increasing as text.
 *
 * @param millis epoch milliseconds
 * @param counter 0 to 4095
 * @param randomHigh 32 random bits, of which 30 are used
 * @param randomLow 32 random bits
 *
 * @example
 * uuid7(1_700_000_000_000, 0, 1, 2) // "018bcfe5-6800-7000-8000-000100000002"
 */
export const uuid7 = (millis: number, counter: number, randomHigh: number, randomLow: number): string => {
  write(Math.floor(millis / 0x10000), 0, 8)
  write(millis % 0x10000, 9, 4)
  write(0x7000 | (counter & 0xfff), 14, 4)
  write(0x8000 | ((randomHigh >>> 16) & 0x3fff), 19, 4)
  write(randomHigh & 0xffff, 24, 4)
  write(randomLow, 28, 8)
  return scratch.toString("latin1")
}
