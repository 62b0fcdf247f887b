/** What all instances go by, in memory. */
import { capOf, ofAll } from "../../policies/caps.ts"
import { isPaused } from "../../policies/pauses.ts"
import type { Control, ControlKind } from "../../ports/TaskRepository.ts"

export class Controls {
  private readonly states = new Map<string, Control>()
  revision = 0

  all(): ReadonlyArray<Control> {
    return [...this.states.values()]
  }

  capOf(name: string): number {
    return capOf(this.get("cap", name))
  }

  /** Whether nothing of a function may start. */
  isPaused(functionName: string): boolean {
    return isPaused(this.get("pause", ofAll)) || isPaused(this.get("pause", functionName))
  }

  private get(kind: ControlKind, name: string): string | undefined {
    return this.states.get(`${kind} ${name}`)?.state
  }

  change<A>(
    kind: ControlKind,
    name: string,
    change: (state: string | undefined) => { readonly answer: A; readonly state: string | undefined }
  ): A {
    const before = this.get(kind, name)
    const { answer, state } = change(before)
    if (state !== undefined && state !== before) {
      this.states.set(`${kind} ${name}`, { kind, name, state })
      this.revision++
    }
    return answer
  }
}
