/** Identifiers, branded so that they cannot be mixed up, and made by the caller (UUID version 7). */
import { Schema } from "effect"

export const TaskId = Schema.UUID.pipe(Schema.brand("TaskId"))
export type TaskId = typeof TaskId.Type

export const TaskScheduleId = Schema.UUID.pipe(Schema.brand("TaskScheduleId"))
export type TaskScheduleId = typeof TaskScheduleId.Type

/** One boot of one process. */
export const InstanceId = Schema.UUID.pipe(Schema.brand("InstanceId"))
export type InstanceId = typeof InstanceId.Type

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))
const hex16 = (value: number): string => `${hex[(value >>> 8) & 0xff]}${hex[value & 0xff]}`
const hex32 = (value: number): string => `${hex16(value >>> 16)}${hex16(value)}`

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
  const high = Math.floor(millis / 0x10000)
  const low = millis % 0x10000
  const random = hex32(0x80000000 | (randomHigh & 0x3fffffff))
  return `${hex32(high)}-${hex16(low)}-${hex16(0x7000 | (counter & 0xfff))}-${random.slice(0, 4)}-${random.slice(4)}${
    hex32(randomLow)
  }`
}
