import type { Measurement } from "../support/Bench.ts"

export type Refusal = "concurrency" | "rate" | "down"

export interface Target {
  readonly calls: ReadonlyArray<{ readonly at: number; readonly refused: Refusal | undefined }>
  readonly ended: () => number
  readonly begin: () => Refusal | undefined
  readonly end: () => void
}

export const called: number
export const throttling: { readonly concurrency: number; readonly rate: number; readonly runs: number }
export const wellRuns: number
export const makeTarget: (options: {
  readonly now: () => number
  readonly concurrency?: number
  readonly rate?: number
  readonly downUntil?: number
}) => Target
export const bestSecond: (instants: ReadonlyArray<number>) => number
export const throttledFigures: (target: Target, from: number) => ReadonlyArray<Measurement>
export const outageFigures: (target: Target, from: number, until: number, full: number) => ReadonlyArray<Measurement>
