import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { TestBroker, type TestBrokerOptions } from '../../support/test-broker'

/** A real broker with a console on a port of its own. */
export async function startConsoleBroker({
  listen = '127.0.0.1:0',
  console = '',
  more = '',
  ...options
}: { listen?: string; console?: string; more?: string } & TestBrokerOptions = {}): Promise<TestBroker> {
  const directory = mkdtempSync('/dev/shm/membroker-console-')
  const config = `
[[range]]
name = "main"
source = "directory"
path = "${directory}"
bytes = "64MiB"
[console]
listen = "${listen}"
${console}
${more}`
  const broker = await TestBroker.start({ config, ...options })
  const dispose = broker.dispose.bind(broker)
  broker.dispose = async () => {
    await dispose()
    rmSync(directory, { recursive: true, force: true })
  }
  return broker
}

/** What Prometheus is given. */
export function metricsTokenOf(broker: TestBroker): string {
  return readFileSync(`${broker.socket}.metrics-token`, 'latin1').trimEnd()
}

/** Where the console is, as an administrator is told. */
export async function consoleOf(broker: TestBroker): Promise<{ host: string; port: number; token: string }> {
  const client = broker.client()
  const { url } = await client.call('OpenConsole', {})
  client.close()
  const { host, port, hash } = new URL(url)
  return { host, port: Number(port), token: hash.replace('#token=', '') }
}
