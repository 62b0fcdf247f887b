/**
 * The front door: schedule and execute AWS Lambda jobs. Needs only `effect`, and cronstrue for sentences; stores and
 * Lambda clients have entry points of their own.
 */
export type { Backfill } from "./domain/Backfill.ts"
export type { CatchUp, CatchUpOption, CatchUpPolicy } from "./domain/CatchUp.ts"
export * from "./domain/Deployment.ts"
export * from "./domain/Errors.ts"
export { BackfillId, InstanceId, TaskId, TaskScheduleId } from "./domain/Ids.ts"
export * from "./domain/Invocation.ts"
export * as LambdaFunction from "./domain/LambdaFunction.ts"
export type { Overlap, OverlapOption, OverlapPolicy } from "./domain/Overlap.ts"
export type { Pause, PauseOptions } from "./domain/Pause.ts"
export { defaultRetryPolicy } from "./domain/RetryPolicy.ts"
export type { RetryOptions, RetryPolicy } from "./domain/RetryPolicy.ts"
export * from "./domain/Task.ts"
export type { TaskSchedule, TaskScheduleStatus } from "./domain/TaskSchedule.ts"
export type { DurationInput, EpochMillis, InstantInput, Millis } from "./domain/Time.ts"
export { BreakerOpen } from "./engine/Breakers.ts"
export type { BreakersApi, BreakerStatus, BreakerTransition } from "./engine/Breakers.ts"
export type { DeadLetters, RedriveAllOptions, RedriveError, Redriven, RedriveOptions } from "./engine/DeadLetters.ts"
export { EngineConfig } from "./engine/EngineConfig.ts"
export type { EngineSettings } from "./engine/EngineConfig.ts"
export { metricDescriptions } from "./engine/EngineMetrics.ts"
export type { MetricDescription } from "./engine/EngineMetrics.ts"
export { LambdaScheduler } from "./engine/LambdaScheduler.ts"
export type { LearnedLimit } from "./engine/Limiters.ts"
export { OnFailed } from "./engine/OnFailed.ts"
export type { FailedTaskHandler, OnFailedOptions } from "./engine/OnFailed.ts"
export type { PausesApi } from "./engine/Pauses.ts"
export type * from "./engine/SchedulerApi.ts"
export { classifyInvocation } from "./policies/breaker.ts"
export type { BreakerOptions, CallVerdict } from "./policies/breaker.ts"
export type { Explanation, ExplanationFacts, ExplanationRule, ExplanationState } from "./policies/explain.ts"
export type { HealthCode, HealthFinding, ScheduleHealth } from "./policies/health.ts"
export type { LimiterOptions } from "./policies/limiter.ts"
export type { AttemptResult } from "./policies/retry.ts"
export { FunctionStore } from "./ports/FunctionStore.ts"
export type { FunctionVersion, StoredFunction } from "./ports/FunctionStore.ts"
export { LambdaClient } from "./ports/LambdaClient.ts"
export type { InvokeRequest } from "./ports/LambdaClient.ts"
export { TaskRepository } from "./ports/TaskRepository.ts"
export type {
  DeadLetterFilter,
  Page,
  PageRequest,
  TaskChange,
  TaskChangeKind,
  TaskFilter,
  TaskScheduleFilter
} from "./ports/TaskRepository.ts"
export * as Trigger from "./preview/Trigger.ts"
