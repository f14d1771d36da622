import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { leaksNothing } from '../support/leaks-nothing'
import { OtherProcess } from '../support/other-process'
import { TestBroker } from '../support/test-broker'

export const tenant = 65534
export const neighbour = 65533

/** What of a configuration a suite about tenants of one host chooses. */
export interface TenantOptions {
  source?: 'directory' | 'memfd'
  /** Keys of the range, of each tenant, and whole tables, as TOML. */
  range?: string
  owner?: string
  rest?: string
}

/**
 * A broker of one range of 1 GiB, and two tenants with half of it each, beside this process, its administrator. end()
 * takes down all of it.
 */
export async function startWithTenants(
  options: TenantOptions = {},
): Promise<{ broker: TestBroker; directory: string; end: () => Promise<void> }> {
  const directory = mkdtempSync('/dev/shm/membroker-attack-')
  const owner = (uid: number) => `[[owner]]\nuid = ${uid}\nbytes_max = "512MiB"\n${options.owner ?? ''}\n`
  const source = options.source ?? 'directory'
  const config = `
[[range]]
name = "default"
source = "${source}"
bytes = "1GiB"
${source === 'directory' ? `path = "${directory}"` : ''}
${options.range ?? ''}
${owner(tenant)}
${owner(neighbour)}
${options.rest ?? ''}
`
  const broker = await TestBroker.start({ directory, config, logLevel: 'info' })
  chmodSync(broker.folder, 0o755)
  const end = async () => {
    await OtherProcess.killAll()
    await broker.dispose()
    rmSync(directory, { recursive: true, force: true })
  }
  return { broker, directory, end }
}

/** Makes bodies of tests, each with a broker of its own, which `began` receives; nothing may be left when one is done. */
export function againstTenants(began: (started: { broker: TestBroker; directory: string }) => void) {
  return (options: TenantOptions, body: () => Promise<void>) => async () => {
    const started = await startWithTenants(options)
    began(started)
    await leaksNothing(started.broker, body).finally(started.end)
  }
}
