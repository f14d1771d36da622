/**
 * Proves that a runner's messages to systemd have the fields that the runner means, whatever words of QEMU's are in them, and are
 * short enough for systemd to take them.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import path from 'node:path'
import { serviceManager } from '../../src/client/ctl/vm/service-manager'
import { until } from '../support/until'

const hear = `
import socket, sys
heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
heard.bind(sys.argv[1])
while True:
    print(repr(heard.recv(1 << 20).decode()), flush=True)
`

test('a status is one field of one line', async () => {
  const folder = mkdtempSync('/tmp/mbm-')
  const address = path.join(folder, 'notify')
  const child = spawn('python3', ['-c', hear, address], { stdio: ['ignore', 'pipe', 'inherit'] })
  let heard = ''
  child.stdout.setEncoding('utf8').on('data', text => {
    heard += text
  })
  try {
    await until(() => existsSync(address), 'somebody listens')
    const manager = serviceManager(address)
    manager.status('no\nEXTEND_TIMEOUT_USEC=86400000000\nMAINPID=1')
    manager.status('no\rMAINPID=1 \u001b[2J')
    manager.ready(`${'ä'.repeat(5000)}\nMAINPID=1`)
    manager.stopping()
    await until(() => heard.includes('STOPPING=1'), 'all is heard')
    const [first, second, third] = heard.split('\n')
    expect(first).toBe("'STATUS=no'")
    expect(second).toBe(String.raw`'STATUS=no\\u000dMAINPID=1 \\u001b[2J'`)
    expect(third).toMatch(/^'READY=1\\nSTATUS=ä{1000}'$/)
  } finally {
    child.kill()
    rmSync(folder, { recursive: true })
  }
})
