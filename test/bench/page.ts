/** `npm run bench-page`: what the debug console's page costs in Chromium, from Chromium's own trace. */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { launch, requireChromium } from '../page/chromium'
import { type TestClient, until } from '../support/test-broker'
import { churn, fill, startCrowdedBroker } from './crowded-broker'
import { type Distribution, type FrameFigures, frameFigures, traceCategories } from './page-trace'

const { values: options } = parseArgs({
  options: {
    allocations: { type: 'string', default: '100000' },
    events: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '10' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const [allocations, eventsPerSecond, seconds] = [
  Number(options.allocations),
  Number(options.events),
  Number(options.seconds),
]
const progress = (text: string) => process.stderr.write(`bench: ${text}\n`)

interface Measured extends FrameFigures {
  eventsPerSecond: number
}

/** The trace is read afterwards, and the changes wait meanwhile: their rate is that of the work alone. */
async function traced(
  browser: Browser,
  page: Page,
  client: TestClient,
  work: () => Promise<void>,
): Promise<Measured> {
  await browser.startTracing(page, { categories: traceCategories })
  const before = await client.call('GetStatistics', {})
  await work()
  const after = await client.call('GetStatistics', {})
  const figures = frameFigures(await browser.stopTracing())
  const eventsPerSecond = (after.events - before.events) / ((after.time - before.time) / 1000)
  return { ...figures, eventsPerSecond }
}

interface Opening {
  firstPaintMs: number
  completeMs: number
}

async function open(browser: Browser, url: string): Promise<{ page: Page; opening: Opening }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  const page = await context.newPage()
  await page.goto(url)
  await page.locator('.tools .count', { hasText: /^[\d\u2009]+ allocations$/ }).waitFor()
  const before = Math.ceil(allocations / 500)
  const wanted = allocations - before
  const shown = () =>
    page.evaluate(
      `Number(document.querySelector('.tools .count').textContent.replace(/\\D/g, ''))`,
    ) as Promise<number>
  await until(async () => (await shown()) >= wanted, 'all allocations', 120_000)
  const opening = (await page.evaluate(`({
    firstPaintMs: performance.getEntriesByName('first-contentful-paint')[0].startTime,
    completeMs: performance.now(),
  })`)) as Opening
  return { page, opening }
}

/** As somebody who looks around: the wheel over the map, a scroll through the table. */
async function lookAround(page: Page): Promise<void> {
  const box = (await page.locator('#map').boundingBox())!
  const end = performance.now() + seconds * 1000
  for (let i = 0; performance.now() < end; i++) {
    await page.mouse.move(box.x + 200 + ((i * 13) % 800), box.y + 50)
    await page.mouse.wheel(0, i % 40 < 20 ? -60 : 60)
    if (i % 10 === 0)
      await page.evaluate(
        `document.querySelector('.table.allocations').scrollTop = ${(i * 9973) % (allocations * 20)}`,
      )
    await sleep(16)
  }
}

function show(title: string, figures: Measured): string {
  const ms = (value: number) => `${value.toFixed(2)} ms`
  const line = (what: string, { p50, p95, p99, max, inTime }: Distribution) =>
    `  ${what}: p50 ${ms(p50)}, p95 ${ms(p95)}, p99 ${ms(p99)}, max ${ms(max)}; ${(inTime * 100).toFixed(1)} % within 16.7 ms`
  return [
    `${title}, ${figures.eventsPerSecond.toFixed(0)} a second: ${figures.frames} frames in ${figures.seconds.toFixed(1)} s`,
    line('processor time of a frame', figures.cost),
    line('the same by the clock', figures.elapsed),
    `  drawing the map: p50 ${ms(figures.mapP50)}  p99 ${ms(figures.mapP99)}`,
    `  processor time in a second: ${Object.entries(figures.parts)
      .map(([part, value]) => `${part} ${ms(value)}`)
      .join(', ')}`,
    `  longest piece of work: ${figures.longest}`,
  ].join('\n')
}

async function main(): Promise<void> {
  if (options.help) {
    console.log(`npm run bench-page -- [--json] [--allocations N] [--events PER-SECOND] [--seconds N]

Opens the console's page in Chromium on a broker with so many allocations and so many changes a second, and says what
its frames cost. Times belong to this machine and moment.`)
    return
  }
  if (!requireChromium()) throw new Error('the page is measured in Chromium')
  const broker = await startCrowdedBroker(allocations)
  const browser = await launch()
  try {
    const client = broker.client()
    await fill(client, allocations, progress)
    const { url } = await client.call('OpenConsole', {})
    progress('opening the page')
    const { page, opening } = await open(browser, url)
    const stop = new AbortController()
    progress(`${eventsPerSecond} events a second`)
    const churning = churn(broker.client(), allocations, eventsPerSecond, stop.signal)
    await sleep(1000)
    const steady = await traced(browser, page, client, () => sleep(seconds * 1000))
    progress('looking around meanwhile')
    const looking = await traced(browser, page, client, () => lookAround(page))
    stop.abort()
    await churning
    const missed = Number(
      await page.evaluate(`(document.querySelector('#tab-events').click(), new Promise(resolve => setTimeout(() =>
        resolve(document.querySelector('[data-missed]').dataset.missed), 500)))`),
    )
    if (options.json) {
      console.log(JSON.stringify({ allocations, missed, ...opening, steady, looking }, null, 2))
      return
    }
    console.log(`${allocations} allocations, ${missed} events missed
first paint ${opening.firstPaintMs.toFixed(0)} ms after navigation, all allocations there after ${opening.completeMs.toFixed(0)} ms`)
    console.log(show('following events', steady))
    console.log(show('and zooming, pointing and scrolling', looking))
  } finally {
    await browser.close()
    await broker.dispose()
  }
}

main().catch(error => {
  console.error(`bench: ${error.stack}`)
  process.exit(1)
})
