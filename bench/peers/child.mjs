/** One step of one test of one peer; the figures go to the process that started this one. */
import { peers } from "./peers.mjs"
import { steps } from "./tests.mjs"

const { connection, peer: name, setup, step, ...options } = JSON.parse(process.argv[2])
const { open } = await peers[name].load()
const peer = await open(connection)
if (setup) await peer.setup()
const figures = await steps[step](peer, options)
await new Promise((resolve) => process.send(figures, resolve))
// A peer that does not end in time must not hold up the others.
await Promise.race([peer.close(), new Promise((resolve) => setTimeout(resolve, 3000))])
process.exit(0)
