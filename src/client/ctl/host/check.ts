import { type SourceDescription, sources } from '../../../../protocol/source'
import type { BrokerConfiguration, ConfiguredRange } from './configured-range'
import type { HostFiles } from './host-files'

/** The result of a check. notApplicable: the check has no object here, or no permission. */
export interface CheckResult {
  readonly result: 'good' | 'warning' | 'bad' | 'notApplicable'
  /** A sentence. */
  readonly finding: string
  /** Shell commands that repair it, or else advice to a person. */
  readonly repair?: string
}

/** A check's result with its id, which is stable, and the range it is about. */
export interface Diagnosis extends CheckResult {
  readonly id: string
  readonly range: string | null
}

/** The facts that a check reads. */
export interface Subject {
  readonly files: HostFiles
  readonly isRoot: boolean
  readonly configuration: BrokerConfiguration
  /** undefined: no broker answers. */
  readonly broker?: RunningBroker | undefined
}

/** Facts of the running broker. */
export interface RunningBroker {
  /** undefined: unknown. */
  readonly uid?: number | undefined
  /** Each range's bytes that wait for scrubbing or are in quarantine. */
  readonly usedBytes: ReadonlyMap<string, number>
  /** The process gets memory only from these nodes. undefined: from all nodes. */
  readonly nodes: readonly number[] | undefined
}

/** About the host. */
export interface HostCheck {
  readonly id: string
  /**
   * Whether the check matters for ranges of a source. Without any such range, doctor leaves it out. Default: it always matters
   */
  matters?(source: SourceDescription): boolean
  readonly needsRoot?: boolean
  run(subject: Subject): CheckResult
}

/** About one range. */
export interface RangeCheck extends Omit<HostCheck, 'run'> {
  /** Whether it has anything to look at of this range. Without that, doctor leaves it out. Default: always */
  concerns?(range: ConfiguredRange, subject: Subject): boolean
  run(range: ConfiguredRange, subject: Subject): CheckResult
}

export const good = (finding: string): CheckResult => ({ result: 'good', finding })
export const notApplicable = (finding: string): CheckResult => ({ result: 'notApplicable', finding })
export const bad = (finding: string, repair: string): CheckResult => ({
  result: 'bad',
  finding,
  repair,
})
export const warning = (finding: string, repair: string): CheckResult => ({
  result: 'warning',
  finding,
  repair,
})

/** Quotes a path, so that the shell takes it for one word. */
export function shellWord(text: string): string {
  return /^[\w./:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** Returns the results of all checks for this configuration, in their order. */
export function diagnose(
  hostChecks: readonly HostCheck[],
  rangeChecks: readonly RangeCheck[],
  subject: Subject,
): Diagnosis[] {
  const { ranges } = subject.configuration
  const matters = (check: Pick<HostCheck, 'matters'>, { source }: ConfiguredRange) =>
    check.matters?.(sources[source]) ?? true
  const allowed = ({ needsRoot }: Pick<HostCheck, 'needsRoot'>, run: () => CheckResult) =>
    needsRoot && !subject.isRoot ? notApplicable('only root can see this') : run()
  return [
    ...hostChecks
      .filter(check => check.matters === undefined || ranges.some(range => matters(check, range)))
      .map(check => ({ id: check.id, range: null, ...allowed(check, () => check.run(subject)) })),
    ...rangeChecks.flatMap(check =>
      ranges
        .filter(range => matters(check, range) && (check.concerns?.(range, subject) ?? true))
        .map(range => ({
          id: check.id,
          range: range.name,
          ...allowed(check, () => check.run(range, subject)),
        })),
    ),
  ]
}
