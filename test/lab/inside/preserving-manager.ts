import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Manager } from '../../service/support/manager'
import { brokerConfiguration, brokerSocket } from './host'

/** A broker under a service manager with an fd store; both end with the kernel. */
export function preservingManager(config: string, places = 600, binary = '/opt/bin/manager'): Manager {
  mkdirSync(path.dirname(brokerSocket), { recursive: true })
  writeFileSync(brokerConfiguration, config)
  // As systemd does.
  writeFileSync('/proc/sys/net/unix/max_dgram_qlen', '512')
  const environment = { FDSTORE: String(places) }
  return new Manager({ config, environment, socket: brokerSocket, binary })
}
