/** The collected bad inputs that concern the domain, and some good ones beside them. */
import { readFileSync } from "node:fs"
import type { InvalidInputReason } from "../../src/domain/Errors.ts"

interface InputRow {
  readonly id: string
  readonly group: string
  readonly inputs: ReadonlyArray<unknown>
  /** `null`: accepted. */
  readonly reason: InvalidInputReason | null
}

const rows = JSON.parse(
  readFileSync(new URL("../fixtures/bad-inputs.json", import.meta.url), "utf8")
) as ReadonlyArray<InputRow>

/** Every input of a group, one by one. */
export const inputsOf = (group: string): ReadonlyArray<Omit<InputRow, "inputs"> & { readonly input: unknown }> =>
  rows.filter((row) => row.group === group).flatMap(({ inputs, ...row }) => inputs.map((input) => ({ ...row, input })))
