import { Command } from 'commander'
import { ownPackage } from '../../../native'
import { exitCodeHelp } from './exit'
import { addHost } from './remote'
import { helpVerb, jsonOption, socketOption, verbUsage } from './verb'
import { addAllocate } from './verb/allocate'
import { addClaim } from './verb/claim'
import { addClients } from './verb/clients'
import { addCompletion } from './verb/completion'
import { addDoctor } from './verb/doctor'
import { addEndVerbs } from './verb/end'
import { addExec } from './verb/exec'
import { addFreeze } from './verb/freeze'
import { addGive } from './verb/give'
import { addLibvirtQemu } from './verb/libvirt-qemu'
import { addList } from './verb/list'
import { addMap } from './verb/map'
import { addOwnerVerbs } from './verb/owner'
import { addPoison } from './verb/poison'
import { addPreflight } from './verb/preflight'
import { addRanges } from './verb/ranges'
import { addRead } from './verb/read'
import { addRecovery } from './verb/recovery'
import { addReserve } from './verb/reserve'
import { addServiceVerbs } from './verb/service'
import { addShow } from './verb/show'
import { addStatus } from './verb/status'
import { addTable } from './verb/table-dump'
import { addTop } from './verb/top'
import { addUpdate } from './verb/update'
import { addVerify } from './verb/verify'
import { addVm } from './verb/vm'
import { addWatch } from './verb/watch'

const groups: ReadonlyArray<readonly [heading: string, verbs: ReadonlyArray<(program: Command) => void>]> = [
  [
    'To look:',
    [addStatus, addTop, addRanges, addMap, addList, addShow, addClients, addWatch, addRead, addRecovery],
  ],
  ['For owners of memory:', [addAllocate, addOwnerVerbs, addClaim, addExec, addEndVerbs]],
  ['Virtual machines:', [addVm, addLibvirtQemu]],
  ['For administrators:', [addGive, addFreeze, addUpdate, addVerify, addPoison, addServiceVerbs]],
  ['Of this host, without a broker:', [addReserve, addPreflight, addDoctor, addTable]],
  ['For the shell:', [addCompletion]],
]

/**
 * The whole command tree. Errors are thrown, not printed: main.ts has one place for that.
 * writeErr: takes the help, where a verb is missing.
 */
export function buildProgram(writeErr?: (help: string) => void): Command {
  const program = new Command('broker-ctl')
    .description('Show and administer the memory broker (membrokerd)')
    .version(ownPackage().version)
    .addOption(socketOption())
    .addOption(jsonOption())
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => {}, ...(writeErr && { writeErr }) })
    // Every verb has options. Longer terms leave a terminal's 80 columns no room for the descriptions.
    .configureHelp({
      subcommandTerm: verb => `${verb.name()} ${verb.usage().replace(/^\[options\] ?/, '')}`.trim(),
    })
    .usage(verbUsage)
    .helpOption('-h, --help', 'show this help')
    .addHelpCommand(helpVerb('For the shell:'))
    .addHelpText('after', exitCodeHelp)
  addHost(program)
  for (const [heading, verbs] of groups) {
    program.commandsGroup(heading)
    for (const add of verbs) add(program)
  }
  return program
}
