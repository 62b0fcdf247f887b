/**
 * The PostgreSQL of this test run (see ./postgresServer.ts). Tests keep out of each other's way by a schema each.
 *
 * @example
 * const sql = PgClient.layer({ url: Redacted.make(postgresUrl()) })
 * const schema = freshSchemaName()
 */
import { inject } from "vitest"

/** Where it answers, for the tests of this run. */
export const postgresUrl = (): string => inject("postgresUrl")

let schemas = 0

/** The name of a schema that no other test of this run has. */
export const freshSchemaName = (): string => `t_${process.pid}_${++schemas}`
