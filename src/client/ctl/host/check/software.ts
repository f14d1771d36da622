import { closeSync } from 'node:fs'
import { native } from '../../../../../native'
import { bad, good, type HostCheck } from '../check'
import { serviceFiles } from './service-files'

const node: HostCheck = {
  id: 'node',
  run: () => {
    const [major, minor] = process.versions.node.split('.').map(Number) as [number, number]
    return major > 20 || (major === 20 && minor >= 19)
      ? good(`Node.js ${process.versions.node}`)
      : bad(`Node.js ${process.versions.node} is older than 20.19`, 'install Node.js 20.19 or newer')
  },
}

/** Calls the addon. It is certainly loaded, as this program does not run without it. */
const addon: HostCheck = {
  id: 'addon',
  run: () => {
    const pidfd = native.pidfdOpen(process.pid)
    const alive = native.isAlive(pidfd)
    closeSync(pidfd)
    return alive
      ? good('the native addon is loaded and works')
      : bad('the native addon does not see its own process', 'npm rebuild membroker')
  },
}

export const softwareChecks: readonly HostCheck[] = [node, addon, serviceFiles]
