/** What the benchmarks of the store use of the floor. */
export interface Floor {
  readonly setup: () => Promise<void>
  readonly insertOne: (job: { readonly due: number; readonly data: unknown }) => Promise<void>
  readonly bulkSize: number
  readonly insertBulk: (jobs: ReadonlyArray<{ readonly due: number; readonly data: unknown }>) => Promise<unknown>
  readonly settled: () => Promise<unknown>
  readonly work: (handler: (data: unknown) => void) => Promise<void>
  readonly unfinished: () => Promise<number>
  readonly close: () => Promise<void>
}
export const open: (connection: { readonly connectionString: string }) => Promise<Floor>
