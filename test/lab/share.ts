import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** Of a run's folder kernel/: beside the hosts' kernels, what a Linux guest boots from. */
export const guestLabel = 'guest'

/** What the outside and the inside of the lab tell each other, as files of a folder that both have. */
interface RunState {
  scenario: string
  /** Index of the step that comes next. */
  step: number
  /** Label of the kernel that runs. */
  kernel: string
  /** Label of the kernel to go into where a step names none. */
  into: string
  /** What stages remember for later ones. */
  memory: Record<string, unknown>
}

/** How a step ended. */
export interface StepResult {
  step: number
  title: string
  /** As uname -r says it. */
  kernel: string
  seconds: number
  /** What the stage measured. */
  figures: Record<string, number>
  /** Why it failed; undefined when it did not. */
  failure?: string | undefined
}

export class Share {
  constructor(readonly folder: string) {}

  at(name: string): string {
    return path.join(this.folder, name)
  }

  get state(): RunState {
    return JSON.parse(readFileSync(this.at('state.json'), 'utf8')) as RunState
  }

  set state(state: RunState) {
    const unfinished = this.at('state.json.part')
    writeFileSync(unfinished, JSON.stringify(state))
    renameSync(unfinished, this.at('state.json'))
  }

  get results(): StepResult[] {
    const file = this.at('results.jsonl')
    if (!existsSync(file)) return []
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as StepResult)
  }

  addResult(result: StepResult): void {
    appendFileSync(this.at('results.jsonl'), `${JSON.stringify(result)}\n`)
  }

  say(text: string): void {
    appendFileSync(this.at('progress.log'), `${text}\n`)
  }
}
