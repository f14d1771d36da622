import { Command } from 'commander'
import { exitCodeHelp } from './exit'
import { jsonOption, socketOption } from './verb'
import { addAllocate } from './verb/allocate'
import { addClaim } from './verb/claim'
import { addClients } from './verb/clients'
import { addCompletion } from './verb/completion'
import { addDoctor } from './verb/doctor'
import { addEndVerbs } from './verb/end'
import { addExec } from './verb/exec'
import { addFreeze } from './verb/freeze'
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
import { addVerify } from './verb/verify'
import { addWatch } from './verb/watch'
import { version } from './version'

/** The whole command tree. Errors are thrown, not printed: main.ts has one place for that. */
export function buildProgram(): Command {
  const program = new Command('broker-ctl')
    .description('Look at and administer the memory broker (membrokerd)')
    .version(version())
    .addOption(socketOption())
    .addOption(jsonOption())
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .addHelpText('after', exitCodeHelp)
  addStatus(program)
  addTop(program)
  addMap(program)
  addRanges(program)
  addList(program)
  addShow(program)
  addAllocate(program)
  addOwnerVerbs(program)
  addEndVerbs(program)
  addClaim(program)
  addFreeze(program)
  addVerify(program)
  addPoison(program)
  addWatch(program)
  addClients(program)
  addRead(program)
  addRecovery(program)
  addServiceVerbs(program)
  addExec(program)
  addTable(program)
  addReserve(program)
  addPreflight(program)
  addDoctor(program)
  addCompletion(program)
  return program
}
