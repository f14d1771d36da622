import type { Command } from 'commander'
import { ownPackage } from '../../../../native'
import { chooseSocket } from '../../socket-path'
import { exitCode, Failure } from '../exit'
import { type Diagnosis, diagnose } from '../host/check'
import { brokerChecks } from '../host/check/broker'
import { kernelChecks } from '../host/check/kernel'
import { memoryChecks, memoryRangeChecks } from '../host/check/memory'
import { persistentChecks } from '../host/check/persistent'
import { reservationChecks } from '../host/check/reservation'
import { softwareChecks } from '../host/check/software'
import { type BrokerConfiguration, defaultConfiguration, readConfiguration } from '../host/configured-range'
import { HostFiles } from '../host/host-files'
import { type Color, paint, printable } from '../table'
import { addVerb } from '../verb'
import { type CommonOptions, interruptible, print } from '../verb-context'

export function addDoctor(program: Command): void {
  addVerb(program, {
    usage: 'doctor',
    summary: 'Check this host, and say how to repair mistakes; changes nothing',
    examples: ['doctor', 'doctor --config new.toml --json'],
    notes: `Checks the ranges of the configuration, the kernel and its parameters, the boot loader's parameters, and the running
broker, if there is one. A user other than root sees less, and doctor says so. Exits with 5 after a warning or worse.
Remedies that write to /sys or /proc, or mount, last until the next boot.`,
  })
    .option('-c, --config <file>', `the broker's configuration; default: ${defaultConfiguration}`)
    .action(async (options: { config?: string }, command: Command) => {
      const { json = false, socket } = command.optsWithGlobals<CommonOptions>()
      const { configuration, read } = await configurationOf(options.config ?? defaultConfiguration)
      const named = options.config === undefined && process.env.MEMBROKER_SOCKET
      const files = new HostFiles()
      const address = socket ?? (named || configuration.socket)
      const { diagnoses: ofBroker, running } = await brokerChecks(address, configuration, files, {
        version: ownPackage().version,
        signal: interruptible(),
      })
      const subject = { files, isRoot: process.getuid!() === 0, configuration, broker: running }
      const diagnoses = [
        read,
        ...diagnose(
          [...softwareChecks, ...kernelChecks, ...memoryChecks],
          [...reservationChecks, ...persistentChecks, ...memoryRangeChecks],
          subject,
        ),
        ...ofBroker,
      ]
      const healthy = diagnoses.every(({ result }) => result === 'good' || result === 'notApplicable')
      if (!healthy) process.exitCode = exitCode.findings
      print(json, { healthy, checks: diagnoses }, () => describe(diagnoses, healthy))
    })
}

/** A configuration that can't be read is one more finding; doctor checks the rest all the same. */
async function configurationOf(
  file: string,
): Promise<{ configuration: BrokerConfiguration; read: Diagnosis }> {
  const about = { id: 'configuration', range: null }
  try {
    const configuration = await readConfiguration(file)
    const finding = `${file} is good`
    return { configuration, read: { ...about, result: 'good', finding } }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const hidden = process.getuid!() !== 0 && /permission denied/.test(error.message)
    const finding = hidden ? `${file} is for root to read; nothing is known of the ranges` : error.message
    const repair = `write it as membroker.toml(5) says, and look with: membrokerd --config ${file} --check`
    return {
      configuration: { socket: chooseSocket().path, ranges: [] },
      read: hidden
        ? { ...about, result: 'notApplicable', finding }
        : { ...about, result: 'bad', finding, repair },
    }
  }
}

const labels: Record<Diagnosis['result'], readonly [string, Color]> = {
  good: ['good', 'green'],
  warning: ['warning', 'yellow'],
  bad: ['BAD', 'red'],
  notApplicable: ['-', 'dim'],
}

function describe(diagnoses: readonly Diagnosis[], healthy: boolean): string {
  const width = Math.max(...diagnoses.map(({ id }) => id.length))
  const lines = diagnoses.flatMap(({ id, range, result, finding, repair }) => {
    const [label, color] = labels[result]
    const text = printable(`${range === null ? '' : `${range}: `}${finding}`)
    const line = `${paint(label.padEnd(7), color)}  ${id.padEnd(width)}  ${text}`
    return repair === undefined ? [line] : [line, `${' '.repeat(width + 11)}repair: ${printable(repair)}`]
  })
  const count = diagnoses.filter(({ repair }) => repair !== undefined).length
  return [...lines, '', healthy ? 'There is nothing to repair.' : `${count} to repair.`].join('\n')
}
