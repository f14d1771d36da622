import { formatSize } from '../../../../protocol/units'
import { exitCode, Failure } from '../exit'
import type { VmSettings } from './settings'

/** Options of QEMU that the guest sees nothing of: another value takes effect with another QEMU under the same guest. */
const hostOptions = new Set([
  ...['netdev', 'chardev', 'blockdev', 'object', 'display', 'vnc', 'spice', 'k', 'name', 'sandbox'],
  ...[
    'monitor',
    'qmp',
    'qmp-pretty',
    'mon',
    'msg',
    'pidfile',
    'D',
    'd',
    'L',
    'trace',
    'run-with',
    'overcommit',
  ],
])

/**
 * Compares a VM that runs with its file. Returns the changes that an upgrade in place makes, for people.
 * @throws Failure NotInPlace, with all reasons
 */
export function planUpgrade(now: VmSettings, then: VmSettings): string[] {
  const refused = [
    ...(now.user === then.user ? [] : [`another user: ${then.user ?? 'none'}`]),
    ...(now.secretFile === then.secretFile ? [] : ['another secret_file']),
    ...memoryChanges(now, then),
    ...(JSON.stringify(now.taps) === JSON.stringify(then.taps) ? [] : ['another [[tap]]']),
  ]
  const changes = now.qemu === then.qemu ? [] : [`qemu: ${now.qemu} -> ${then.qemu}`]
  const [before, after] = [optionsOf(now.arguments), optionsOf(then.arguments)]
  if (before.guest.join(' ') !== after.guest.join(' '))
    refused.push(...differences(before.guest, after.guest).map(text => `the guest sees ${text}`))
  changes.push(...differences(before.host, after.host))
  if (refused.length === 0) return changes
  const message = `an upgrade replaces QEMU, not the machine, and the file has ${refused.join('; ')}. Put that back, or stop the VM with --powerdown and run it again`
  throw new Failure('NotInPlace', message, exitCode.refused)
}

function memoryChanges(now: VmSettings, then: VmSettings): string[] {
  const sizes = ({ memory }: VmSettings) => memory.map(({ bytes }) => formatSize(bytes)).join(' and ')
  const isSame =
    now.memory.length === then.memory.length &&
    now.memory.every(({ bytes }, index) => bytes === then.memory[index]!.bytes)
  return isSame ? [] : [`other memory: ${sizes(then)} instead of ${sizes(now)}`]
}

/** Each option with its value, by whether the guest sees it. Order matters where it does. */
function optionsOf(args: readonly string[]): { guest: string[]; host: string[] } {
  const options: string[] = []
  for (const word of args) {
    if (/^--?[A-Za-z]/.test(word) || options.length === 0) options.push(word.replace(/^--/, '-'))
    else options[options.length - 1] += ` ${word}`
  }
  const isHost = (option: string) =>
    hostOptions.has(/^-(\S+)/.exec(option)?.[1] ?? '') || /^-drive (.*,)?if=none(,|$)/.test(option)
  return {
    guest: options.filter(option => !isHost(option)),
    host: options.filter(isHost),
  }
}

function differences(before: readonly string[], after: readonly string[]): string[] {
  const gone = before.filter(option => !after.includes(option)).map(option => `no ${option}`)
  const come = after.filter(option => !before.includes(option)).map(option => `a new ${option}`)
  const all = [...come, ...gone]
  return all.length > 0 || before.length === after.length ? all : ['the same options another number of times']
}
