/** The answer to the first question of every support call: why did it not run? Pure: who asks says what is known. */
import type { Task } from "../domain/Task.ts"
import { explainEnded } from "./explain/ended.ts"
import type { Explanation, TaskSituation } from "./explain/Explanation.ts"
import { explainRunning, explainScheduled } from "./explain/live.ts"

export type {
  BreakerSituation,
  CapSituation,
  Explanation,
  ExplanationFacts,
  ExplanationRule,
  ExplanationState,
  LearnedSituation,
  TaskSituation
} from "./explain/Explanation.ts"
export { explainInstant } from "./explain/instant.ts"

/**
 * Why a Task ran, or does not: the rule that decides, in a sentence. What holds it back is told in the order in which it
 * does: its deadline, pauses, the breaker, caps, throttles, other occurrences, the wait for another attempt, its owner.
 *
 * @example
 * explainTask(task, about).sentence
 * // `Task "hello" has been due since 2027-01-15T08:00:00.000Z, for 5 seconds, and does not start: its function "hello"
 * // has been paused since 2027-01-15T07:00:00.000Z by ada: month end. It starts when the pause ends.`
 */
export const explainTask = (task: Task, about: TaskSituation): Explanation => {
  switch (task.status) {
    case "Running":
      return explainRunning(task, about)
    case "Scheduled":
      return explainScheduled(task, about)
    default:
      return explainEnded(task, about.schedule)
  }
}
