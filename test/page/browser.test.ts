/**
 * Proves, in a real browser against a real broker, that the console's page opens with its token only, shows the memory
 * where it is, follows what happens, runs commands as far as it may, outlives the broker, asks nobody else for anything,
 * and can be used with the keyboard alone, on small screens, in light and dark.
 */
import { createServer } from 'node:http'
import type { Browser, Page, WebSocketRoute } from 'playwright-core'
import type { Extent } from '../../protocol/generated/broker'
import { OtherProcess } from '../support/other-process'
import { type TestBroker, type TestClient, until } from '../support/test-broker'
import { startWithConsole, WatchedPage } from './broker'
import { boundMs, launch, requireChromium, screenshotPath } from './chromium'
import { beyondTheEdge, expectMap, faintTexts, focused, viewOf } from './look'

const MiB = 2 ** 20
const describeWithChromium = requireChromium() ? describe : describe.skip

jest.setTimeout(4 * boundMs)

/** Rows that a table shows. */
const cell = (page: Page, table: string, text: string) =>
  page.locator(`.table.${table} .rows .row`, { hasText: text })

describeWithChromium('the page of the console', () => {
  let browser: Browser
  let broker: TestBroker
  let client: TestClient
  let url: string
  let origin: string
  const open: WatchedPage[] = []

  async function visit(
    options?: Parameters<typeof WatchedPage.open>[2],
    address = url,
  ): Promise<WatchedPage> {
    const watched = await WatchedPage.open(browser, origin, options)
    open.push(watched)
    await watched.page.goto(address)
    return watched
  }

  async function allocate(name: string, bytes: number, more: object = {}): Promise<Extent[]> {
    const { allocation } = await client.call('Allocate', { name, bytes, range: 'guests', ...more })
    return allocation.extents
  }

  beforeAll(async () => {
    browser = await launch()
  })
  afterAll(() => browser?.close())
  beforeEach(async () => {
    ;({ broker, url, origin } = await startWithConsole())
    client = broker.client()
  })
  afterEach(async () => {
    const faults = open.flatMap(watched => watched.faults)
    for (const watched of open.splice(0)) await watched.close()
    await OtherProcess.killAll()
    await broker.dispose()
    expect(faults).toEqual([])
  })

  test('opens with the token, which leaves the address bar and outlives a reload', async () => {
    const { page, ...watched } = await visit()
    await page.locator('[data-link=live]').waitFor()
    expect(page.url()).toBe(`${origin}/`)
    await page.reload()
    await page.locator('[data-link=live]').waitFor()
    expect(watched.faults).toEqual([])
  })

  test('a broker that listens on [::1] is opened there', async () => {
    const other = await startWithConsole({ host: '[::1]' })
    const watched = await WatchedPage.open(browser, other.origin)
    try {
      await watched.page.goto(other.url)
      await watched.live()
      expect(watched.faults).toEqual([])
    } finally {
      await watched.close()
      await other.broker.dispose()
    }
  })

  test('by another name of this host it leads to its own address, where nobody else can listen', async () => {
    const { page } = await visit({}, url.replace('127.0.0.1', 'localhost'))
    await page.locator('[data-link=live]').waitFor()
    expect(page.url()).toBe(`${origin}/`)
    open[0]!.faults.splice(0)
  })

  test('a page that is reloaded while a stranger listens there has no token that the stranger could read', async () => {
    const watched = await visit()
    await watched.live()
    const { page } = watched
    await broker.kill()
    await page.locator('[data-link=away]').waitFor()
    const imposter = createServer((_, response) => {
      response.setHeader('content-type', 'text/html').end('<title>imposter</title>')
    })
    await new Promise<void>(resolve => imposter.listen(Number(new URL(url).port), '127.0.0.1', resolve))
    await page.reload()
    await expect(page.title()).resolves.toBe('imposter')
    await expect(
      page.evaluate(() => JSON.stringify([{ ...sessionStorage }, { ...localStorage }])),
    ).resolves.toBe('[{},{}]')
    expect(page.url()).toBe(`${origin}/`)
    imposter.closeAllConnections()
    await new Promise(resolve => imposter.close(resolve))
    watched.forgiveLostConnections()
  })

  test('without a token it tells how to get one, and takes it', async () => {
    const { page } = await visit({}, `${origin}/`)
    await page.getByText('broker-ctl console').waitFor()
    await page.getByLabel('Address or token').fill(url)
    await page.getByRole('button', { name: 'Open' }).click()
    await page.locator('[data-link=live]').waitFor()
  })

  test('a wrong token is told from an absent broker', async () => {
    const watched = await visit({}, `${origin}/#token=${'x'.repeat(43)}`)
    await watched.page.getByText('does not know this token').waitFor()
    await watched.page.getByText('broker-ctl console').waitFor()
    await watched.page.screenshot({ path: screenshotPath('wrong-token') })
    watched.forgiveLostConnections()
  })

  test('draws each byte of the map where the allocations are, at every zoom', async () => {
    const extents: Extent[] = []
    for (const [i, size] of [3, 1, 17, 5, 40, 2, 9].entries()) {
      const placed = await allocate(`keep-${i}`, size * MiB, { uid: 1001 })
      extents.push(...placed)
      await allocate(`drop-${i}`, (i + 2) * MiB, { uid: 1001 })
    }
    for (let i = 0; i < 7; i++) await client.call('Release', { name: `drop-${i}` })
    const watched = await visit()
    await watched.live()
    const { page } = watched
    await expectMap(page, extents, 'waiting')
    await page.locator('#map').focus()
    for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowDown')
    for (let i = 0; i < 3; i++) {
      await page.keyboard.press('+')
      await expectMap(page, extents, 'waiting')
    }
    await page.keyboard.press('0')
    await page.getByText('by owner', { exact: true }).click()
    await expectMap(page, extents, 'owner-1')
    await page.getByText('by state', { exact: true }).click()
    // The wheel zooms where it points, down to one unit of the range.
    const box = (await page.locator('#map').boundingBox())!
    await page.mouse.move(box.x + 20, box.y + 50)
    for (let i = 0; i < 60; i++) await page.mouse.wheel(0, -240)
    await until(async () => (await viewOf(page)).span === 4096, 'one unit to fill the map', boundMs)
  })

  test('a point on the map says what is there, a click selects it, and the tables follow', async () => {
    await allocate('first', 64 * MiB, { uid: 1001 })
    const watched = await visit()
    await watched.live()
    const { page } = watched
    await cell(page, 'allocations', 'first').waitFor()
    const box = (await page.locator('#map').boundingBox())!
    await page.mouse.move(box.x + box.width * 0.1, box.y + 50)
    await page
      .locator('.pointed', { hasText: 'first: 0x0 – 0x4000000, 64 MiB, uid 1001, unclaimed' })
      .waitFor()
    await page.mouse.click(box.x + box.width * 0.1, box.y + 50)
    await page.locator('.detail h2', { hasText: 'first' }).waitFor()
    await page.locator('.table.allocations [aria-selected=true]', { hasText: 'first' }).waitFor()
    await page.mouse.move(box.x + box.width * 0.9, box.y + 50)
    await page.locator('.pointed', { hasText: 'free: 0x4000000 – 0x10000000, 192 MiB' }).waitFor()
  })

  test('follows what happens: memory comes, is mapped, grows, and goes', async () => {
    const watched = await visit()
    await watched.live()
    const { page } = watched
    const extents = await allocate('live/one', 100 * MiB)
    await cell(page, 'allocations', 'live/one').getByText('100 MiB').waitFor()
    await expectMap(page, extents, 'held')
    const { grant, fds } = await client.call('CreateMapping', { name: 'live/one', guestAddress: 4096 })
    await page.locator('#tab-mappings').click()
    await cell(page, 'mappings', 'live/one').getByText('0x1000').waitFor()
    const { allocation } = await client.call('Grow', { name: 'live/one', bytes: 120 * MiB })
    await expectMap(page, allocation.extents, 'held')
    client.closeFd(fds[0]!)
    await client.call('RevokeMapping', { mapping: grant.mapping.id })
    await page.getByText('No mappings.').waitFor()
    await client.call('Release', { name: 'live/one' })
    await page.locator('#tab-allocations').click()
    await page.getByText('No allocations.').waitFor()
    await page.locator('#tab-events').click()
    // The list draws the rows that fit, and a revocation that takes longer has more steps.
    const rows = page.locator('.table.events .rows .row')
    for (const kind of ['allocated', 'mapped', 'revoked', 'released', 'reclaimed', 'grown']) {
      await page.getByLabel('Search events').fill(`${kind} live/`)
      await rows
        .locator('.kind', { hasText: new RegExp(`^${kind}$`) })
        .first()
        .waitFor()
    }
    // Filtered to some, and stopped while it is read.
    await expect(rows.count()).resolves.toBe(1)
    await page.getByRole('button', { name: 'Pause' }).click()
    await allocate('live/two', MiB)
    await page.getByRole('button', { name: /Resume \([1-9]/ }).waitFor()
    await page.getByText('none missed').waitFor()
  })

  test('whoever is gone holds nothing any more, also where nothing was mapped', async () => {
    const watched = await visit()
    await watched.live()
    const { page } = watched
    const other = await OtherProcess.start(broker.socket)
    await expect(other.refusal('Allocate', { name: 'theirs', bytes: MiB })).resolves.toBeUndefined()
    await cell(page, 'allocations', 'theirs').getByText(String(other.pid)).waitFor()
    await other.kill()
    await cell(page, 'allocations', 'theirs').getByText('unclaimed').waitFor()
  })

  test('events that this viewer was too slow for are counted, and the state is read again', async () => {
    await allocate('kept', MiB, { uid: 1001 })
    const watched = await WatchedPage.open(browser, origin)
    open.push(watched)
    const { page } = watched
    const watchers: WebSocketRoute[] = []
    // Between the page and its broker: everything goes through, and what only a loaded broker says is said here.
    await page.routeWebSocket(/socket$/, socket => {
      const server = socket.connectToServer()
      socket.onMessage(message => {
        if (String(message).includes('Broker.Watch')) watchers.push(socket)
        server.send(message)
      })
      server.onMessage(message => socket.send(message))
    })
    await page.goto(url)
    await cell(page, 'allocations', 'kept').waitFor()
    await page.locator('#tab-events').click()
    await page.getByText('none missed').waitFor()
    const event = { sequence: 5000, time: Date.now(), kind: 'claimed', allocation: 'kept', range: 'guests' }
    watchers[0]!.send(JSON.stringify({ parameters: { event, missed: 4321 }, continues: true }))
    await page.locator('[data-missed="4321"]').waitFor()
    await until(() => watchers.length === 2, 'a second Watch', boundMs)
    await allocate('after', MiB)
    await page.locator('#tab-allocations').click()
    await cell(page, 'allocations', 'after').waitFor()
    await cell(page, 'allocations', 'kept').waitFor()
  })

  test('a read-only console runs what only looks, and says why it does no more', async () => {
    await allocate('vm-1/ram', MiB)
    const watched = await visit()
    await watched.live()
    const { page } = watched
    const prompt = page.getByLabel('broker-ctl')
    await prompt.fill('show vm-1/ram')
    await prompt.press('Enter')
    await page.locator('.prompt .result', { hasText: /holder +process \d+/ }).waitFor()
    await prompt.fill('release vm-1/ram')
    await prompt.press('Enter')
    await page.locator('.prompt .failure', { hasText: 'needs write = true' }).waitFor()
    await prompt.fill('frobnicate')
    await prompt.press('Enter')
    await page.locator('.prompt .failure', { hasText: 'there is no verb frobnicate' }).waitFor()
    await client.call('GetAllocation', { name: 'vm-1/ram' })
    // The history, from its end.
    await prompt.press('ArrowUp')
    await prompt.press('ArrowUp')
    await expect(prompt.inputValue()).resolves.toBe('release vm-1/ram')
    // Memory is shown only where that is permitted, and the page says how.
    await cell(page, 'allocations', 'vm-1/ram').click()
    await page.locator('#tab-bytes').click()
    await page.getByRole('button', { name: 'Read', exact: true }).click()
    await page.getByText('[console]\nraw_view = true').waitFor()
  })

  test('survives the broker: says that it is away, and what holds when it is back', async () => {
    const extents = await allocate('before', 8 * MiB, { uid: 1001 })
    const watched = await visit()
    await watched.live()
    const { page } = watched
    await cell(page, 'allocations', 'before').waitFor()
    await page.getByTitle(/^process \d+, boot/).waitFor()
    await broker.kill()
    await page.getByText('The broker is away').waitFor()
    await page.locator('[data-link=away]').waitFor()
    await page.screenshot({ path: screenshotPath('away') })
    await broker.start()
    client = broker.client()
    extents.push(...(await allocate('after', 32 * MiB, { uid: 1001 })))
    await page.locator('[data-link=live]').waitFor()
    await page.locator('[data-notice=restart]', { hasText: 'was started anew' }).waitFor()
    await expect(page.getByText('The broker is away').count()).resolves.toBe(0)
    await cell(page, 'allocations', 'after').waitFor()
    await cell(page, 'allocations', 'before').waitFor()
    await page.getByText('2 allocations').waitFor()
    await expectMap(page, extents, 'waiting')
    watched.forgiveLostConnections()
  })

  test('says that the broker was started anew also where its first connection to that breaks', async () => {
    const watched = await WatchedPage.open(browser, origin)
    open.push(watched)
    const { page } = watched
    let breaks = false
    await page.routeWebSocket(/socket$/, socket => {
      const server = socket.connectToServer()
      server.onMessage(message => {
        socket.send(message)
        if (!breaks || !String(message).includes('"startedAt"')) return
        breaks = false
        void socket.close()
        void server.close()
      })
    })
    await page.goto(url)
    await page.getByTitle(/^process \d+, boot/).waitFor()
    await broker.kill()
    await page.locator('[data-link=away]').waitFor()
    breaks = true
    await broker.start()
    await page.locator('[data-notice=restart]', { hasText: 'was started anew' }).waitFor()
    expect(breaks).toBe(false)
    watched.forgiveLostConnections()
  })

  test('tells its token to nobody who listens there while the broker is away, and needs no new one afterwards', async () => {
    const watched = await visit()
    await watched.live()
    const { page } = watched
    const token = new URL(url).hash.replace('#token=', '')
    await broker.kill()
    const kept = () => page.evaluate(() => sessionStorage.length)
    await page.locator('[data-link=away]').waitFor()
    await expect(kept()).resolves.toBe(0)
    const heard: string[] = []
    let answered = 0
    const imposter = createServer(({ url, rawHeaders }, response) => {
      heard.push(`${url} ${rawHeaders.join(' ')}`)
      if (url!.startsWith('/challenge')) answered++
      response.setHeader('connection', 'close').end('A'.repeat(72))
    })
    imposter.on('upgrade', ({ url, rawHeaders }, socket) => {
      heard.push(`${url} ${rawHeaders.join(' ')}`)
      socket.destroy()
    })
    await new Promise<void>(resolve => imposter.listen(Number(new URL(url).port), '127.0.0.1', resolve))
    await until(() => answered >= 6, 'the page to try twice', boundMs)
    await page.getByText('does not have the token of this page').waitFor()
    imposter.closeAllConnections()
    await new Promise(resolve => imposter.close(resolve))
    // Not even a proof: who has not shown that it has the token gets none.
    for (const request of heard) expect(request).toMatch(/^\/challenge\?[\w-]{43} /)
    expect(heard.join()).not.toContain(token)
    await broker.start()
    await page.locator('[data-link=live]').waitFor()
    await expect(kept()).resolves.toBe(1)
    watched.forgiveLostConnections()
  })

  test.each([
    { width: 1280, height: 900, colorScheme: 'light' as const },
    { width: 1280, height: 900, colorScheme: 'dark' as const },
    { width: 400, height: 800, colorScheme: 'light' as const },
    { width: 400, height: 800, colorScheme: 'dark' as const },
  ])(
    'every view at $width pixels in $colorScheme: nothing beyond the edge, text with contrast',
    async shape => {
      for (let i = 0; i < 40; i++)
        await allocate(`vm-${i}/ram`, ((i * 7) % 5) * MiB + MiB, i % 3 === 0 ? { uid: 1001 + (i % 2) } : {})
      for (let i = 0; i < 40; i += 4) await client.call('Release', { name: `vm-${i}/ram` })
      await client.call('CreateMapping', { name: 'vm-1/ram' })
      const { width, height, colorScheme } = shape
      const watched = await visit({ viewport: { width, height }, colorScheme })
      await watched.live()
      const { page } = watched
      await cell(page, 'allocations', 'vm-1/ram').first().click()
      await page.locator('.detail').waitFor()
      for (const tab of ['allocations', 'mappings', 'clients', 'events', 'charts', 'recovery', 'bytes']) {
        await page.locator(`#tab-${tab}`).click()
        await page.locator(`#panel.${tab}`).waitFor()
        if (tab === 'charts') await page.getByText('resident').waitFor()
        if (tab === 'recovery') await page.getByText('recovered in').first().waitFor()
        expect({ tab, beyond: await beyondTheEdge(page) }).toEqual({ tab, beyond: 0 })
        expect({ tab, faint: await faintTexts(page) }).toEqual({ tab, faint: [] })
        await page.screenshot({
          path: screenshotPath(`${tab}-${width}-${colorScheme}`),
          fullPage: width < 1280,
        })
      }
    },
  )

  test('with the keyboard alone: every stop is seen, and everything is reached', async () => {
    for (let i = 0; i < 5; i++) await allocate(`vm-${i}/ram`, MiB)
    await client.call('CreateMapping', { name: 'vm-3/ram' })
    const watched = await visit()
    await watched.live()
    const { page } = watched
    const { keyboard } = page
    await cell(page, 'allocations', 'vm-4/ram').waitFor()
    const stops = new Set<string>()
    for (let i = 0; i < 24; i++) {
      await keyboard.press('Tab')
      const { name, visible } = await focused(page)
      if (name === 'body') break
      expect({ name, visible }).toEqual({ name, visible: true })
      stops.add(name)
    }
    for (const stop of ['map', 'tab-allocations', 'search', 'allocations', 'prompt'])
      expect([...stops]).toContain(stop)
    await keyboard.press('Escape')
    // Tabs by number and by arrow.
    await keyboard.press('2')
    await cell(page, 'mappings', 'vm-3/ram').waitFor()
    await page.locator('#tab-mappings').focus()
    await keyboard.press('ArrowLeft')
    await page.locator('#tab-allocations[aria-selected=true]:focus').waitFor()
    // Search, then the table's rows.
    await keyboard.press('/')
    await keyboard.type('vm-3')
    await page.getByText('1 of 5 allocations').waitFor()
    await page.locator('.table.allocations').focus()
    await keyboard.press('ArrowDown')
    await page.locator('.detail h2', { hasText: 'vm-3/ram' }).waitFor()
    await keyboard.press('Escape')
    await page.locator('.detail').waitFor({ state: 'detached' })
    // The map: from extent to extent, told to those who can't see it.
    await keyboard.press('m')
    await page.locator('#map:focus').waitFor()
    await keyboard.press('ArrowDown')
    await page
      .locator('.map [role=status]', { hasText: 'vm-0/ram: 0x0 – 0x100000, 1 MiB' })
      .waitFor({ state: 'attached' })
    await keyboard.press('ArrowDown')
    await page.locator('.detail h2', { hasText: 'vm-1/ram' }).waitFor()
    await keyboard.press('Enter')
    await until(
      async () => (await viewOf(page)).span === 3 * MiB,
      'the extent to fill a third of the map',
      boundMs,
    )
    // Help, and the prompt with completion.
    await keyboard.press('?')
    await page.getByRole('heading', { name: 'Keyboard' }).waitFor()
    await keyboard.press('Escape')
    await page.getByRole('heading', { name: 'Keyboard' }).waitFor({ state: 'hidden' })
    await keyboard.press(':')
    await keyboard.type('sho')
    await keyboard.press('Tab')
    await keyboard.type('vm-2')
    await keyboard.press('Tab')
    await expect(page.getByLabel('broker-ctl').inputValue()).resolves.toBe('show vm-2/ram ')
    await keyboard.press('Enter')
    await page.locator('.prompt .result', { hasText: /name +vm-2\/ram/ }).waitFor()
  })
})

describeWithChromium('a console that may write', () => {
  test('runs commands that change things, and shows memory as it is', async () => {
    const browser = await launch()
    const { broker, url, origin } = await startWithConsole({ write: true, rawView: true })
    try {
      const watched = await WatchedPage.open(browser, origin)
      const { page } = watched
      await page.goto(url)
      await watched.live()
      const prompt = page.getByLabel('broker-ctl')
      const run = async (line: string) => {
        await prompt.fill(line)
        await prompt.press('Enter')
      }
      await run('allocate vm-7/ram 8M --owner 1001 --range guests')
      await cell(page, 'allocations', 'vm-7/ram').getByText('8 MiB').waitFor()
      await run('freeze "a test"')
      await page.locator('.pill.frozen', { hasText: 'a test' }).waitFor()
      await run('release vm-7/ram')
      await page.locator('.prompt .failure', { hasText: 'Frozen' }).waitFor()
      await run('thaw')
      await page.locator('.pill.frozen').waitFor({ state: 'detached' })
      await cell(page, 'allocations', 'vm-7/ram').click()
      await page.locator('#tab-bytes').click()
      await page.getByRole('button', { name: 'Read', exact: true }).click()
      await page.locator('.hex', { hasText: '00000000  00 00 00 00' }).waitFor()
      await run('release vm-7/ram')
      await page.locator('.prompt .result', { hasText: 'vm-7/ram: released' }).waitFor()
      await page.locator('.detail', { hasText: 'It is gone.' }).waitFor()
      expect(watched.faults).toEqual([])
    } finally {
      await browser.close()
      await broker.dispose()
    }
  })
})
