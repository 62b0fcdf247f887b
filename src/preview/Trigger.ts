/** All about triggers, under one name: what they are, how EventBridge writes them, and when they fire. */
export * from "../domain/EventBridge.ts"
export * from "../domain/Trigger.ts"
export { describe } from "./describe.ts"
export { between, next } from "./preview.ts"
export type { LeftOutOccurrence, Occurrence, PreviewOptions } from "./preview.ts"
