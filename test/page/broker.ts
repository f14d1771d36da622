import { mkdtempSync, rmSync } from 'node:fs'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { occupy } from '../console/support/occupy'
import { TestBroker } from '../support/test-broker'
import { boundMs } from './chromium'

const MiB = 2 ** 20

interface ConsoleOptions {
  write?: boolean
  rawView?: boolean
  bytes?: number
  host?: string
}

/** A real broker whose console listens on a port that stays the same when it is started again. */
export async function startWithConsole({
  write = false,
  rawView = false,
  bytes = 256 * MiB,
  host = '127.0.0.1',
}: ConsoleOptions = {}) {
  const { port, free } = await occupy()
  await free()
  const directory = mkdtempSync('/dev/shm/membroker-page-')
  const config = `[console]
listen = "${host}:${port}"
write = ${write}
raw_view = ${rawView}

[[range]]
name = "guests"
source = "directory"
path = "${directory}"
bytes = ${bytes}

[[range]]
name = "second"
source = "memfd"
bytes = ${16 * MiB}

[[owner]]
uid = 1001
bytes_max = ${bytes}

[[owner]]
uid = 1002
bytes_max = ${bytes}
`
  const broker = await TestBroker.start({ config })
  const dispose = broker.dispose.bind(broker)
  broker.dispose = async () => {
    await dispose()
    rmSync(directory, { recursive: true, force: true })
  }
  const client = broker.client()
  const { url } = await client.call('OpenConsole', {})
  client.close()
  return { broker, url, origin: new URL(url).origin }
}

/** A page of a new profile, and everything about it that should not have been. */
export class WatchedPage {
  /** Errors, violations of the content security policy, requests to elsewhere. */
  readonly faults: string[] = []

  private constructor(
    readonly page: Page,
    private readonly origin: string,
  ) {}

  static async open(
    browser: Browser,
    origin: string,
    options: BrowserContextOptions = {},
  ): Promise<WatchedPage> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
    context.setDefaultTimeout(boundMs)
    const watched = new WatchedPage(await context.newPage(), origin)
    await watched.listen()
    return watched
  }

  private async listen(): Promise<void> {
    const { page, faults, origin } = this
    page.on('pageerror', error => faults.push(`error: ${error.stack}`))
    page.on('console', message => {
      // It is the test that reads the canvas back.
      if (message.text().includes('willReadFrequently')) return
      if (message.type() === 'error' || message.type() === 'warning') faults.push(message.text())
    })
    page.on('request', request => {
      if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith('data:'))
        faults.push(`request to ${request.url()}`)
    })
    page.on('websocket', socket => {
      if (!socket.url().startsWith(`${origin.replace('http', 'ws')}/`))
        faults.push(`socket to ${socket.url()}`)
    })
    await page.exposeFunction('reportViolation', (violation: string) => faults.push(`policy: ${violation}`))
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', event => {
        void (window as unknown as { reportViolation: (text: string) => void }).reportViolation(
          `${event.violatedDirective} ${event.blockedURI}`,
        )
      })
    })
  }

  /** Chromium writes an error for a connection that is refused, whatever the page does about it. */
  forgiveLostConnections(): void {
    const kept = this.faults.filter(
      fault => !/^(WebSocket connection to|Failed to load resource:)/.test(fault),
    )
    this.faults.splice(0, this.faults.length, ...kept)
  }

  /** Until it is connected and has all there is. */
  async live(): Promise<void> {
    await this.page.locator('[data-link=live]').waitFor()
    await this.page.locator('.map .canvases').waitFor()
  }

  async close(): Promise<void> {
    await this.page.context().close()
  }
}
