import type { Page } from 'playwright-core'
import type { Extent } from '../../protocol/generated/broker'
import { until } from '../support/test-broker'
import { boundMs } from './chromium'

/** What a column of the map's middle row shows, by the name of the colour; undefined between two colours. */
async function mapColumns(page: Page, names: readonly string[]): Promise<Array<string | undefined>> {
  return page.evaluate(names => {
    const canvas = document.querySelector<HTMLCanvasElement>('.canvases .main')!
    const style = getComputedStyle(document.documentElement)
    const colours = new Map(
      names.map(name => [Number.parseInt(style.getPropertyValue(`--map-${name}`).trim().slice(1), 16), name]),
    )
    const { data } = canvas.getContext('2d')!.getImageData(0, canvas.height >> 1, canvas.width, 1)
    return Array.from({ length: canvas.width }, (_, x) =>
      colours.get((data[4 * x]! << 16) | (data[4 * x + 1]! << 8) | data[4 * x + 2]!),
    )
  }, names)
}

/** Columns that lie wholly within extents, or wholly outside them; undefined where one begins or ends. */
function expectedColumns(
  width: number,
  view: { start: number; span: number },
  extents: readonly Extent[],
  colour: string,
): Array<string | undefined> {
  return Array.from({ length: width }, (_, x) => {
    const from = view.start + (x * view.span) / width
    const to = view.start + ((x + 1) * view.span) / width
    const touching = extents.filter(({ offset, length }) => offset <= to && offset + length >= from)
    if (touching.length === 0) return 'free'
    const [{ offset, length }] = touching as [Extent]
    return touching.length === 1 && offset < from && offset + length > to ? colour : undefined
  })
}

/** The part of the range that the map says it shows. */
export async function viewOf(page: Page): Promise<{ start: number; span: number }> {
  const label = (await page.locator('#map').getAttribute('aria-label'))!
  const [, start, end] = /Shown: (0x[0-9a-f.]+) to (0x[0-9a-f.]+)\./.exec(label)!
  return { start: Number(start), span: Number(end) - Number(start) }
}

/** Waits until every column that shows one thing only shows the right one. */
export async function expectMap(page: Page, extents: readonly Extent[], colour: string): Promise<void> {
  let last = ''
  const matches = async () => {
    const view = await viewOf(page)
    const columns = await mapColumns(page, ['free', colour])
    const expected = expectedColumns(columns.length, view, extents, colour)
    const wrong = expected.flatMap((value, x) => (value !== undefined && value !== columns[x] ? [x] : []))
    last = `columns ${wrong.slice(0, 10)} of ${columns.length} differ`
    return wrong.length === 0 && expected.some(value => value === colour)
  }
  await until(matches, 'the map to match', boundMs).catch(error => {
    throw new Error(`${error.message}: ${last}`)
  })
}

/** How far, in pixels, the page can be scrolled sideways. */
export function beyondTheEdge(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
}

/** What has the focus, and whether one sees that it has. */
export function focused(page: Page): Promise<{ name: string; visible: boolean }> {
  return page.evaluate(() => {
    const element = document.activeElement as HTMLElement
    const shown = element.matches('.ranges input, .segmented input') ? element.parentElement! : element
    const { outlineStyle, outlineWidth } = getComputedStyle(shown)
    const name =
      element === document.body
        ? 'body'
        : element.id || element.getAttribute('aria-label') || (element.textContent ?? '').slice(0, 20)
    return { name, visible: outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2 }
  })
}

/** Texts whose contrast with what is behind them is below WCAG's AA. */
export function faintTexts(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const parse = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number)
    const luminance = ([red, green, blue]: number[]) => {
      const linear = [red!, green!, blue!].map(value => {
        const part = value / 255
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * linear[0]! + 0.7152 * linear[1]! + 0.0722 * linear[2]!
    }
    const groundOf = (element: Element | null): number[] => {
      for (let at = element; at; at = at.parentElement) {
        const color = parse(getComputedStyle(at).backgroundColor)
        if (color.length === 3 || color[3] === 1) return color
      }
      return parse(getComputedStyle(document.documentElement).backgroundColor)
    }
    const faint: string[] = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const element = node.parentElement!
      const text = node.textContent!.trim()
      if (text === '' || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
        continue
      if (element.closest('noscript, script, style, option') || element.matches(':disabled')) continue
      const style = getComputedStyle(element)
      const color = element instanceof SVGElement ? style.fill : style.color
      const [text1, ground] = [luminance(parse(color)), luminance(groundOf(element))]
      const contrast = (Math.max(text1, ground) + 0.05) / (Math.min(text1, ground) + 0.05)
      if (contrast < 4.5) faint.push(`${text.slice(0, 30)}: ${contrast.toFixed(2)}`)
    }
    return faint
  })
}
