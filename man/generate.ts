import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { brokerCtlPage } from './broker-ctl'
import { exampleConfiguration, membrokerTomlPage } from './membroker-toml'
import { membrokerVmTomlPage } from './membroker-vm-toml'
import { membrokerdPage } from './membrokerd'

/** The manual pages by file name, made from the programs' own help. */
export function manualPages(root: string): Map<string, string> {
  return new Map([
    ['broker-ctl.1', brokerCtlPage()],
    ['membroker-vm.toml.5', membrokerVmTomlPage(root)],
    ['membroker.toml.5', membrokerTomlPage(exampleConfiguration(root))],
    ['membrokerd.8', membrokerdPage()],
  ])
}

// setup.mjs runs the compiled copy of this file, in the checkout: the pages are made anew with each build.
if (require.main === module) {
  const folder = path.join(process.cwd(), 'dist/man')
  mkdirSync(folder, { recursive: true })
  for (const [name, page] of manualPages(process.cwd())) writeFileSync(path.join(folder, name), page)
}
