// Proves how the console comes and goes: before recovery is done, when its port is taken, over the broker's death, with a
// token file that somebody has meddled with, and that none of it is the broker's end.
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Broker } from '../../src/broker/broker'
import { parseConfig } from '../../src/broker/config/config'
import { Console } from '../../src/broker/console/console'
import { dispatcher } from '../../src/broker/handler/dispatch'
import { runNow } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { silentLog } from '../support/silent-log'
import { TestBroker, until } from '../support/test-broker'
import { consoleOf, metricsTokenOf, startConsoleBroker } from './support/console-broker'
import { Exposition } from './support/exposition'
import { occupy } from './support/occupy'
import { PageClient } from './support/page-client'
import { proofOf, prove } from './support/prove'
import { request } from './support/raw-http'

const undo: Array<() => void | Promise<void>> = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

async function start(options: Parameters<typeof startConsoleBroker>[0] = {}): Promise<TestBroker> {
  const broker = await startConsoleBroker(options)
  undo.push(() => broker.dispose())
  return broker
}

const tokenFile = (broker: TestBroker) => `${broker.socket}.token`

test('before recovery is done the metrics say so and no viewer is let in; afterwards both are served', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-console-'))
  undo.push(() => rmSync(folder, { recursive: true, force: true }))
  const range = '[[range]]\nname = "main"\nsource = "memfd"\nbytes = "1MiB"\n'
  const settings = parseConfig(
    `${range}[console]\nlisten = "127.0.0.1:0"`,
    'test.toml',
    `${folder}/broker.sock`,
  )
  const broker = new Broker({ settings, bootId: 'b'.repeat(32), log: silentLog() })
  const console = (await Console.start(broker, settings.console!))!
  undo.push(() => console.stop())
  const { host, port, hash } = new URL(console.url)
  const token = hash.replace('#token=', '')
  const metricsToken = readFileSync(`${folder}/broker.sock.metrics-token`, 'latin1').trimEnd()
  const scrape = async () => {
    const answer = await request(Number(port), [
      'GET /metrics HTTP/1.1',
      `Host: ${host}`,
      `Authorization: Bearer ${metricsToken}`,
    ])
    return new Exposition(answer.body)
  }
  expect((await scrape()).value('membroker_recovering')).toBe(1)
  await expect(PageClient.connect({ host, token })).rejects.toThrow('turned away: 503')

  console.serve(dispatcher(broker))
  expect((await scrape()).value('membroker_recovering')).toBe(0)
  const viewer = await PageClient.connect({ host, token })
  expect((await viewer.call('GetStatus', {})).ranges).toBe(0)
  await viewer.close()
})

test('the broker listens for metrics before it recovers', async () => {
  const broker = await start()
  const at = (text: string) => broker.log.indexOf(text)
  expect(at('the console listens')).toBeGreaterThan(-1)
  expect(at('the console listens')).toBeLessThan(at('range is online'))
})

test('a port that is taken is no end: clients are served, and the console comes when the port is free', async () => {
  const { port, free } = await occupy()
  const broker = await start({ listen: `127.0.0.1:${port}` })
  const client = broker.client()
  await client.call('Allocate', { name: 'vm/ram', bytes: 4096 })
  await expect(client.call('OpenConsole', {})).rejects.toMatchObject({
    parameters: { operation: 'listen', code: 'EADDRINUSE' },
  })
  await until(() => broker.log.includes('the console can not listen'), 'a word about it')
  await free()
  await until(() => broker.log.includes('the console listens'), 'the console listens')
  const viewer = await PageClient.connect(await consoleOf(broker))
  expect((await viewer.call('ListAllocations', {})).allocations).toHaveLength(1)
  await viewer.close()
  client.close()
})

test('who listened there while the broker was away heard nothing that opens the next one', async () => {
  const { port, free } = await occupy()
  await free()
  const broker = await start({ listen: `127.0.0.1:${port}` })
  const page = await consoleOf(broker)
  const nonce = (await prove(page)).slice(0, 72)
  await broker.kill()
  const heard: IncomingMessage[] = []
  const imposter = createHttpServer((request, response) => {
    heard.push(request)
    response.setHeader('connection', 'close').end(nonce)
  })
  imposter.on('upgrade', (request, socket) => {
    heard.push(request)
    socket.destroy()
  })
  await new Promise<void>(resolve => imposter.listen(port, '127.0.0.1', resolve))
  await expect(PageClient.connect(page)).rejects.toThrow('socket hang up')
  await new Promise(resolve => imposter.close(resolve))
  expect(heard.map(({ url }) => url)).toEqual(['/challenge', '/socket'])
  expect(JSON.stringify(heard.map(({ rawHeaders }) => rawHeaders))).not.toContain(page.token)
  const [, proof] = /membroker\.proof\.(\S+)/.exec(heard[1]!.headers['sec-websocket-protocol']!)!
  expect(proof).toBe(proofOf(nonce, page.token))

  await broker.start()
  await until(() => broker.log.split('the console listens').length === 3, 'the console listens')
  await expect(PageClient.offer(page.host, proof!)).rejects.toThrow('turned away: 410')
  const other = (await prove(page)).slice(0, 72)
  const mixed = `${other}.${proof!.split('.')[1]}`
  await expect(PageClient.offer(page.host, mixed)).rejects.toThrow('turned away: 401')
  await (await PageClient.connect(page)).close()
})

test('whoever is no administrator any more keeps no page and no token; Prometheus keeps its own', async () => {
  const broker = await start({ more: '[admin]\nuids = [1000, 1001]\n' })
  const page = await consoleOf(broker)
  const viewer = await PageClient.connect(page)
  const metricsToken = metricsTokenOf(broker)
  const config = readFileSync(broker.configFile, 'utf8')
  const client = broker.client()
  writeFileSync(broker.configFile, config.replace('1000, 1001', '1000, 1001, 1002'))
  await client.call('Reload', {})
  expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
  writeFileSync(broker.configFile, config.replace('1000, 1001', '1001'))
  await client.call('Reload', {})
  client.close()
  await viewer.untilClosed()
  await expect(PageClient.connect(page)).rejects.toThrow('turned away: 401')
  await (await PageClient.connect(await consoleOf(broker))).close()
  expect(metricsTokenOf(broker)).toBe(metricsToken)
  const { port, host } = page
  const bearer = `Authorization: Bearer ${metricsToken}`
  expect((await request(port, ['GET /metrics HTTP/1.1', `Host: ${host}`, bearer])).status).toBe(200)
})

test('a page outlives the broker: the same address and token open the next one', async () => {
  const { port, free } = await occupy()
  await free()
  const broker = await start({ listen: `127.0.0.1:${port}` })
  const before = await consoleOf(broker)
  const viewer = await PageClient.connect(before)
  await broker.kill()
  await viewer.untilClosed()
  await broker.start()
  await until(async () => {
    try {
      await (await PageClient.connect(before)).close()
      return true
    } catch {
      return false
    }
  }, 'the page is back')
  expect(await consoleOf(broker)).toEqual(before)
  expect(await broker.kill('SIGTERM')).toBe(0)
})

test('viewers are no reason to go on: SIGTERM ends the broker in order', async () => {
  const broker = await start()
  const viewer = await PageClient.connect(await consoleOf(broker))
  viewer.send('Watch', {}, true)
  await viewer.until(({ parameters }) => parameters.snapshotEnd === true)
  expect(await broker.kill('SIGTERM')).toBe(0)
  await viewer.untilClosed()
})

test('an address of IPv6 is as good', async () => {
  const broker = await start({ listen: '[::1]:0' })
  const opened = await consoleOf(broker)
  expect(opened.host).toMatch(/^\[::1\]:\d+$/)
  const viewer = await PageClient.connect(opened)
  expect((await viewer.call('GetStatus', {})).pid).toBe(broker.pid)
  await viewer.close()
})

test('without [console] there is none, and nothing of it', async () => {
  const broker = await TestBroker.start()
  undo.push(() => broker.dispose())
  const client = broker.client()
  await expect(client.call('OpenConsole', {})).rejects.toThrow('ConsoleOff')
  client.close()
  expect(existsSync(tokenFile(broker))).toBe(false)
  const folder = `/proc/${broker.pid}/fd`
  const targets = readdirSync(folder).map(fd => {
    try {
      return readlinkSync(path.join(folder, fd))
    } catch {
      return ''
    }
  })
  const own = new Set(targets.flatMap(target => /socket:\[(\d+)\]/.exec(target)?.[1] ?? []))
  const tcp = ['tcp', 'tcp6'].flatMap(name =>
    readFileSync(`/proc/${broker.pid}/net/${name}`, 'utf8').split('\n'),
  )
  expect(tcp.filter(line => own.has(line.trim().split(/\s+/)[9] ?? ''))).toEqual([])
})

describe('the token', () => {
  const readers = [...new Set([0, process.getuid!()])].join(' ')
  test('is 256 random bits in a file that only the broker can read, and stays', async () => {
    const broker = await start()
    const { token } = await consoleOf(broker)
    expect(Buffer.from(token, 'base64url')).toHaveLength(32)
    expect(readFileSync(tokenFile(broker), 'latin1')).toBe(`${token}\nreaders ${readers}\n`)
    expect(statSync(tokenFile(broker)).mode & 0o777).toBe(0o600)
    const metricsToken = metricsTokenOf(broker)
    expect(Buffer.from(metricsToken, 'base64url')).toHaveLength(32)
    expect(metricsToken).not.toBe(token)
    expect(statSync(`${broker.socket}.metrics-token`).mode & 0o777).toBe(0o600)
    await broker.restart()
    expect((await consoleOf(broker)).token).toBe(token)
    expect(metricsTokenOf(broker)).toBe(metricsToken)
    const other = await start()
    expect((await consoleOf(other)).token).not.toBe(token)
  })

  test('is another one when somebody who may have seen it was dismissed while no broker ran', async () => {
    const broker = await start({ more: '[admin]\nuids = [1000]\n' })
    const config = readFileSync(broker.configFile, 'utf8')
    const restartWith = async (uids: string) => {
      await broker.kill()
      writeFileSync(broker.configFile, config.replace('[1000]', uids))
      await broker.start()
      return (await consoleOf(broker)).token
    }
    const { token } = await consoleOf(broker)
    await expect(restartWith('[1000, 1001]')).resolves.toBe(token)
    const second = await restartWith('[1000]')
    expect(second).not.toBe(token)
    expect(broker.log).toContain('uid 1001 is no administrator any more')
    // Also one who became an administrator while the broker ran.
    writeFileSync(broker.configFile, config.replace('[1000]', '[1000, 1002]'))
    const client = broker.client()
    await client.call('Reload', {})
    client.close()
    await expect(restartWith('[1000, 1002]')).resolves.toBe(second)
    await expect(restartWith('[1000]')).resolves.not.toBe(second)
  })

  const elsewhere = (broker: TestBroker) => path.join(broker.folder, 'elsewhere')
  const meddling: [string, (broker: TestBroker) => void][] = [
    ['others may read', broker => chmodSync(tokenFile(broker), 0o644)],
    ['others may write', broker => chmodSync(tokenFile(broker), 0o620)],
    [
      'is a link',
      broker => {
        writeFileSync(elsewhere(broker), `${'A'.repeat(43)}\n`, { mode: 0o600 })
        rmSync(tokenFile(broker))
        symlinkSync(elsewhere(broker), tokenFile(broker))
      },
    ],
    ['has a second name', broker => linkSync(tokenFile(broker), elsewhere(broker))],
    ['does not say who has seen it', broker => writeFileSync(tokenFile(broker), `${'A'.repeat(43)}\n`)],
    ['is empty', broker => writeFileSync(tokenFile(broker), '')],
    ['is cut short', broker => writeFileSync(tokenFile(broker), 'A'.repeat(42))],
    ['has more in it', broker => writeFileSync(tokenFile(broker), `${'A'.repeat(43)}\n\n`)],
    [
      'is a pipe that nobody writes to',
      broker => {
        rmSync(tokenFile(broker))
        runNow('mkfifo', ['-m', '600', tokenFile(broker)])
      },
    ],
    ...(needsRoot('a token file of another uid')
      ? ([['belongs to another uid', broker => chownSync(tokenFile(broker), 12345, 12345)]] as [
          string,
          (broker: TestBroker) => void,
        ][])
      : []),
  ]
  test.each(meddling)('of a file that %s is not used: there is a new one', async (_, meddle) => {
    const broker = await start()
    const { token } = await consoleOf(broker)
    await broker.kill()
    meddle(broker)
    const put = existsSync(elsewhere(broker)) ? readFileSync(elsewhere(broker)) : undefined
    await broker.start()
    const opened = await consoleOf(broker)
    expect(opened.token).not.toBe(token)
    expect(opened.token).not.toBe('A'.repeat(43))
    expect(broker.log).toContain('the console gets a new token')
    const { mode, uid, nlink } = statSync(tokenFile(broker))
    expect({ mode: mode & 0o777, uid, nlink }).toEqual({ mode: 0o600, uid: process.getuid!(), nlink: 1 })
    if (put) expect(readFileSync(elsewhere(broker))).toEqual(put)
    await expect(PageClient.connect({ ...opened, token })).rejects.toThrow('turned away: 401')
  })

  test('can be changed by removing the file and starting again', async () => {
    const broker = await start()
    const { token } = await consoleOf(broker)
    await broker.kill()
    rmSync(tokenFile(broker))
    await broker.start()
    expect((await consoleOf(broker)).token).not.toBe(token)
  })

  test('that can not be kept is the end of the console, and not of the broker', async () => {
    const broker = await start()
    await broker.kill()
    rmSync(tokenFile(broker))
    runNow('mkdir', [tokenFile(broker)])
    await broker.start()
    const client = broker.client()
    await expect(client.call('OpenConsole', {})).rejects.toMatchObject({
      parameters: { operation: 'console' },
    })
    expect((await client.call('GetStatus', {})).pid).toBe(broker.pid)
    expect(broker.log).toContain('there is no console')
    client.close()
    expect(readdirSync(broker.folder).filter(name => name.startsWith('broker.sock.token.'))).toEqual([])
  })
})
