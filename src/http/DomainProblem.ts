/** The one place where the domain's errors become problems. */
import { Effect } from "effect"
import type { DeploymentError } from "../domain/Deployment.ts"
import { InvalidInput } from "../domain/Errors.ts"
import type {
  BackfillNotFound,
  IdempotencyConflict,
  RedriveConflict,
  RevisionConflict,
  SchedulerClosed,
  TaskFinished,
  TaskNotFailed,
  TaskNotFound,
  TaskRepositoryError,
  TaskScheduleEnded,
  TaskScheduleNotFound
} from "../domain/Errors.ts"
import type { Problem, ProblemOf } from "./Problem.ts"
import { isProblem, problem } from "./Problem.ts"

type DomainError =
  | InvalidInput
  | DeploymentError
  | SchedulerClosed
  | IdempotencyConflict
  | TaskRepositoryError
  | TaskNotFound
  | TaskScheduleNotFound
  | TaskScheduleEnded
  | RevisionConflict
  | BackfillNotFound
  | TaskFinished
  | TaskNotFailed
  | RedriveConflict

/** The problems that an error can become. */
export type ProblemFor<E> = E extends Problem ? E
  : E extends InvalidInput ? ProblemOf<400> | ProblemOf<413>
  : E extends DeploymentError ? ProblemOf<409> | ProblemOf<413> | ProblemOf<502> | ProblemOf<503>
  : E extends
    IdempotencyConflict | TaskFinished | TaskNotFailed | RedriveConflict | TaskScheduleEnded | RevisionConflict
    ? ProblemOf<409>
  : E extends TaskNotFound | TaskScheduleNotFound | BackfillNotFound ? ProblemOf<404>
  : E extends SchedulerClosed | TaskRepositoryError ? ProblemOf<503>
  : never

/** `NameEmpty` is `NAME_EMPTY`. */
export const codeOf = (reason: string): string => reason.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").toUpperCase()

const inputProblem = (error: InvalidInput) => {
  switch (error.reason) {
    case "PayloadTooLarge":
    case "ZipTooLarge":
      return problem(413, codeOf(error.reason), error.message)
    default:
      return problem(400, codeOf(error.reason), error.message)
  }
}

// The message as it is: it is made to be acted on, and callers match on it.
const deploymentProblem = ({ message, reason }: DeploymentError) => {
  const code = `DEPLOYMENT_${codeOf(reason)}`
  switch (reason) {
    case "NotOwned":
    case "Conflict":
      return problem(409, code, message)
    case "CodeTooLarge":
      return problem(413, code, message)
    case "StorageExceeded":
      return problem(503, code, message)
    default:
      return problem(502, code, message)
  }
}

const toProblem = (error: DomainError) => {
  switch (error._tag) {
    case "InvalidInput":
      return inputProblem(error)
    case "DeploymentError":
      return deploymentProblem(error)
    case "IdempotencyConflict":
      return problem(409, "IDEMPOTENCY_CONFLICT", error.message)
    case "TaskFinished":
      return problem(409, "TASK_TERMINAL", error.message)
    case "TaskNotFailed":
      return problem(409, "TASK_NOT_FAILED", error.message)
    case "RedriveConflict":
      return problem(409, "REDRIVE_CONFLICT", error.message)
    case "TaskScheduleEnded":
      return problem(409, "SCHEDULE_ENDED", error.message)
    case "RevisionConflict":
      return problem(409, "REVISION_CONFLICT", error.message)
    case "TaskNotFound":
      return problem(404, "TASK_NOT_FOUND", error.message)
    case "TaskScheduleNotFound":
      return problem(404, "SCHEDULE_NOT_FOUND", error.message)
    case "BackfillNotFound":
      return problem(404, "BACKFILL_NOT_FOUND", error.message)
    case "SchedulerClosed":
      return problem(503, "SCHEDULER_CLOSED", "The scheduler is shutting down and takes no more work.")
    case "TaskRepositoryError":
      return problem(503, "STORE_UNAVAILABLE", "The store did not answer as it should. Nothing was changed; try again.")
  }
}

/** What is wrong with the filter or the page of a question can only come from the query. */
export const withQueryProblems = <A, E, R>(
  self: Effect.Effect<A, E | InvalidInput, R>
): Effect.Effect<A, Exclude<E, InvalidInput> | ProblemOf<400>, R> =>
  Effect.mapError(
    self,
    (error) =>
      error instanceof InvalidInput ? problem(400, "QUERY_INVALID", error.message) : error as Exclude<E, InvalidInput>
  )

/**
 * Turns an effect's errors into problems. What a store said stays in the log: it may hold more than a caller should see.
 *
 * @example
 * scheduler.list(filter, page).pipe(withProblems)
 */
export const withProblems = <A, E extends DomainError | Problem, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, ProblemFor<E>, R> =>
  self.pipe(
    Effect.tapError((error: DomainError | Problem) =>
      "_tag" in error && error._tag === "TaskRepositoryError"
        ? Effect.logError("The store failed", error)
        : Effect.void
    ),
    Effect.mapError((error) => (isProblem(error) ? error : toProblem(error)) as ProblemFor<E>)
  )
