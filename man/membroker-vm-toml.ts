import { readFileSync } from 'node:fs'
import path from 'node:path'
import { version } from '../src/broker/version'
import { vmSchema } from '../src/client/ctl/vm/schema'
import { defaultVmDirectory } from '../src/client/ctl/vm/settings'
import { type Schema, tablePart } from './membroker-toml'
import { bold, prose, section, title, verbatim } from './roff'

/** membroker-vm.toml(5): every key, from the schema that broker-ctl checks the file with. */
export function membrokerVmTomlPage(root: string): string {
  const { properties = {} } = vmSchema as Schema
  const example = readFileSync(path.join(root, 'deploy/vm.toml'), 'utf8')
  return `${[
    title('membroker-vm.toml', 5, version),
    section('NAME', 'membroker\\-vm.toml \\- a virtual machine that broker\\-ctl runs'),
    section(
      'DESCRIPTION',
      prose(`A file in ${defaultVmDirectory}, NAME.toml, is the virtual machine NAME of "broker-ctl vm run NAME" and of the unit membroker-vm@NAME.service. "broker-ctl vm check FILE" reads it only, and reports a mistake with its line.

A size is a number of bytes, or text such as "64GiB" (KiB, MiB, GiB, TiB, PiB; K, KB, M, ... are the same, powers of 1024). It is a multiple of 4 KiB.`),
    ),
    section('TABLES', ...Object.entries(properties).map(([name, schema]) => tablePart(name, schema))),
    section('EXAMPLE', verbatim(example.trimEnd().split('\n'))),
    section('SEE ALSO', `${bold('broker-ctl')}(1), ${bold('membroker.toml')}(5), ${bold('membrokerd')}(8)`),
  ].join('\n')}\n`
}
