import { paints } from './paint'
import { type Palette, pixelOf } from './raster'

/** The style sheet's colours, for drawing on canvases; they differ between light and dark. */
export interface Theme {
  palette: Palette
  edge: number
  text: string
  faint: string
  accent: string
  series: string[]
}

export function readTheme(): Theme {
  const style = getComputedStyle(document.documentElement)
  const color = (name: string) => style.getPropertyValue(`--${name}`).trim()
  return {
    palette: Uint32Array.from(paints, name => pixelOf(color(`map-${name}`))),
    edge: pixelOf(color('map-edge')),
    text: color('text'),
    faint: color('faint'),
    accent: color('accent'),
    series: [color('series-1'), color('series-2')],
  }
}

/** Tells when the viewer's system changes between light and dark. */
export function onThemeChange(listener: () => void): () => void {
  const dark = matchMedia('(prefers-color-scheme: dark)')
  dark.addEventListener('change', listener)
  return () => dark.removeEventListener('change', listener)
}
