/** The server's own settings, given on its command line: they hold whatever the cluster's files say. */
import { Effect } from "effect"
import { EmbeddedPostgresError } from "./EmbeddedPostgresError.ts"

/** For a small machine that it shares with the program. */
const sensible: Readonly<Record<string, string>> = {
  shared_buffers: "128MB",
  effective_cache_size: "512MB",
  work_mem: "8MB",
  max_connections: "100",
  synchronous_commit: "on",
  wal_buffers: "16MB",
  max_wal_size: "1GB",
  random_page_cost: "1.1",
  // Tasks come and go: what they leave behind is cleared often, a little at a time.
  autovacuum_naptime: "15s",
  // Statements here are short and many. Also, /dev/shm is small in containers.
  max_parallel_workers_per_gather: "0",
  jit: "off",
  // Asked for and not had, they end the server with a bus error in some containers.
  huge_pages: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  // What is wrong with a statement, its client is told; its text and data belong in no file.
  log_min_messages: "log",
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
  log_checkpoints: "off"
}

/** Nothing survives the machine. */
const throwAway: Readonly<Record<string, string>> = {
  fsync: "off",
  full_page_writes: "off",
  synchronous_commit: "off"
}

/** How the server is found and reached, and where it prints, is not for callers to change. */
const own = (port: number): Readonly<Record<string, string>> => ({
  listen_addresses: "127.0.0.1",
  port: String(port),
  unix_socket_directories: "",
  logging_collector: "off",
  log_destination: "stderr"
})

const fixed = new Set([...Object.keys(own(0)), "data_directory", "config_file", "hba_file", "ident_file", "fsync"])

/** Refuses settings that are none, and those that are not the caller's to make. */
export const checkSettings = (settings: Readonly<Record<string, string>>): Effect.Effect<void, EmbeddedPostgresError> =>
  Effect.forEach(Object.entries(settings), ([name, value]) => {
    const refuse = (message: string) => new EmbeddedPostgresError({ reason: "SettingInvalid", message })
    if (!/^[a-z_]\w*(\.\w+)*$/i.test(name)) {
      return refuse(`expected the name of a PostgreSQL setting such as work_mem, got ${JSON.stringify(name)}.`)
    }
    if (fixed.has(name.toLowerCase())) {
      return refuse(`the setting ${name} is this program's own to make: leave it out.`)
    }
    if (typeof value !== "string" || value.includes("\0")) {
      return refuse(`expected a text as the value of the setting ${name}, got ${JSON.stringify(value)}.`)
    }
    return Effect.void
  }, { discard: true })

/** The command line's part for the settings. */
export const settingFlags = (
  port: number,
  options: { readonly fsync: boolean; readonly settings: Readonly<Record<string, string>> }
): ReadonlyArray<string> =>
  Object.entries({ ...sensible, ...(options.fsync ? {} : throwAway), ...options.settings, ...own(port) })
    .flatMap(([name, value]) => ["-c", `${name}=${value}`])
