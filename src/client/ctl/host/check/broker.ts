import { statSync } from 'node:fs'
import path from 'node:path'
import { sourceOf } from '../../../../../protocol/source'
import { formatSize } from '../../../../../protocol/units'
import { type Broker, BrokerError, connect, type Range } from '../../../index'
import {
  bad,
  type CheckResult,
  type Diagnosis,
  good,
  notApplicable,
  type RunningBroker,
  shellWord,
  warning,
} from '../check'
import { type BrokerConfiguration, isPreserved } from '../configured-range'
import type { HostFiles } from '../host-files'
import { nodesOf } from '../numa-nodes'
import { descriptors, isOurs, kernelLog, uidOf, visibility } from './broker-process'
import { fdStore } from './fd-store'
import { memoryLimit } from './memory-limit'

/** A busy broker is not a broken one. */
const answerMs = 10_000

const on = (id: string, result: CheckResult, range: string | null = null): Diagnosis => ({
  id,
  range,
  ...result,
})

interface BrokerReport {
  readonly diagnoses: readonly Diagnosis[]
  /** The broker's facts for the checks of the host. undefined: no broker answers. */
  readonly running: RunningBroker | undefined
}

/** A running broker's own facts. If no broker runs, that is a finding, not a fault of the host. */
export async function brokerChecks(
  socket: string,
  configuration: BrokerConfiguration,
  files: HostFiles,
  options: { version: string; signal: AbortSignal },
): Promise<BrokerReport> {
  const folder = on('socketFolder', socketFolder(path.dirname(socket)))
  let broker: Broker
  try {
    broker = await connect({ socket, reconnect: { timeoutMs: answerMs }, signal: options.signal })
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'BrokerUnreachable') throw error
    // Who accepts and does not answer is there, and hangs.
    const { errno } = error.parameters ?? {}
    const how = errno === undefined || errno === 'EAGAIN' ? 'restart' : 'start'
    const none = warning(`no broker answers: ${error.message}`, `systemctl ${how} membroker`)
    return { diagnoses: [folder, on('broker', none)], running: undefined }
  }
  const readRanges = () => broker.ranges({ signal: options.signal })
  try {
    const [status, ranges, clients] = await Promise.all([
      broker.status({ signal: options.signal }),
      readRanges(),
      broker.clients({ signal: options.signal }),
    ])
    // In another pid namespace, that number is another process's.
    const pid = isOurs(clients, process) ? status.pid : undefined
    const hasMemfds = ranges.some(({ source }) => sourceOf(source)?.files === 'unnamed')
    const ownsPages = ranges.some(({ source }) => sourceOf(source)?.reservation !== undefined)
    const preserved = new Set(configuration.ranges.filter(isPreserved).map(({ name }) => name))
    const kept = ranges.filter(({ name, state }) => preserved.has(name) && state === 'online')
    const running = new Map(ranges.map(range => [range.name, range]))
    const diagnoses = [
      folder,
      on(
        'broker',
        status.version === options.version
          ? good(`a broker of version ${status.version} answers at ${socket}`)
          : warning(
              `the broker is of version ${status.version}, broker-ctl of ${options.version}`,
              'systemctl restart membroker',
            ),
      ),
      on('visibility', visibility(clients)),
      ...(pid === undefined ? [] : [on('descriptors', descriptors(files, { ...status, pid }))]),
      ...(ownsPages && pid !== undefined ? [on('kernelLog', kernelLog(files, pid))] : []),
      ...(hasMemfds && pid !== undefined
        ? [on('fdStore', await fdStore(files, pid, status.fdStore ?? undefined, readRanges, preserved))]
        : []),
      ...(kept.length > 0 && pid !== undefined ? [on('memoryLimit', memoryLimit(files, pid, kept))] : []),
      ...configuration.ranges
        .filter(({ name }) => !running.has(name))
        .map(({ name }) =>
          on(
            'rangeState',
            warning(
              'it is in the configuration and not in the running broker',
              'systemctl restart membroker',
            ),
            name,
          ),
        ),
      ...ranges.map(range => on('rangeState', rangeState(range), range.name)),
      ...(await Promise.all(
        kept.map(async range =>
          on('preserved', await preservation(broker, range, options.signal), range.name),
        ),
      )),
    ]
    return {
      diagnoses,
      running: {
        usedBytes: new Map(ranges.map(({ name, bytes, freeBytes }) => [name, bytes - freeBytes])),
        nodes: pid === undefined ? undefined : nodesOf(files, pid),
        uid: pid === undefined ? undefined : uidOf(files, pid),
      },
    }
  } finally {
    await broker.close()
  }
}

function socketFolder(folder: string): CheckResult {
  let stat: { uid: number; mode: number }
  try {
    stat = statSync(folder)
  } catch {
    return notApplicable(`${folder} is not there yet; the broker makes it`)
  }
  const sticky = (stat.mode & 0o1000) !== 0
  return (stat.mode & 0o022) === 0 || sticky
    ? good(`only uid ${stat.uid} can put a socket into ${folder}`)
    : bad(
        `others can put a socket of their own into ${folder}, and the broker refuses to start there`,
        `chmod go-w ${shellWord(folder)}`,
      )
}

type State = Pick<
  Awaited<ReturnType<Broker['ranges']>>[number],
  'state' | 'reason' | 'quarantinedBytes' | 'poisonedBytes'
>

/** What a kexec would lose now of a range that the kernel is to preserve. */
async function preservation(
  broker: Pick<Broker, 'list'>,
  { name, capabilities }: Range,
  signal: AbortSignal,
): Promise<CheckResult> {
  if (capabilities.freezePreserves) return good('the kernel preserves it during an update')
  if (capabilities.survivesKexec) return good('the kernel preserves all of it')
  const lost: string[] = []
  for await (const { name: allocation, range, survivesKexec } of broker.list({ signal }))
    if (range === name && !survivesKexec) lost.push(allocation)
  const what =
    lost.length === 0 ? 'its table' : `'${lost[0]}'${lost.length > 1 ? ` and ${lost.length - 1} more` : ''}`
  return warning(
    `the kernel does not preserve all of it: a kexec loses ${what}`,
    'broker-ctl recovery has the reason; once that is gone: systemctl restart membroker',
  )
}

function rangeState({ state, reason, quarantinedBytes, poisonedBytes }: State): CheckResult {
  if (state === 'readOnly')
    return bad(
      `it is read-only: ${reason ?? 'no reason was given'}`,
      'remove the reason and restart the broker; format only memory whose contents nobody needs',
    )
  if (poisonedBytes > 0)
    return warning(
      `${formatSize(poisonedBytes)} of it are bad memory`,
      'replace the memory module at the next occasion',
    )
  if (quarantinedBytes > 0)
    return warning(
      `${formatSize(quarantinedBytes)} of it are in quarantine: processes still have them`,
      'broker-ctl status names the holders; end them',
    )
  return good('it is online')
}
