/**
 * The fibers of what runs, by Task. Mostly one each; more where a retry without delay begins before the run before it has
 * come to its end, or where one claim is held and refused while a later one of the same Task runs.
 */
import type { Fiber } from "effect"
import type { TaskId } from "../domain/Ids.ts"

type Run = Fiber.RuntimeFiber<void>

const none: ReadonlyArray<Run> = []

export class Runs {
  // No list for the one that there mostly is.
  private readonly runs = new Map<TaskId, Run | ReadonlyArray<Run>>()

  add(id: TaskId, run: Run): void {
    this.runs.set(id, this.runs.has(id) ? [...this.of(id), run] : run)
  }

  delete(id: TaskId, run: Run): void {
    const rest = this.runs.get(id) === run ? none : this.of(id).filter((other) => other !== run)
    if (rest.length === 0) this.runs.delete(id)
    else this.runs.set(id, rest)
  }

  of(id: TaskId): ReadonlyArray<Run> {
    const found = this.runs.get(id)
    return found === undefined ? none : "id" in found ? [found] : found
  }

  ids(): Iterable<TaskId> {
    return this.runs.keys()
  }

  all(): ReadonlyArray<Run> {
    return Array.from(this.ids(), (id) => this.of(id)).flat()
  }
}
