import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'

/** The page as it is sent, and the hashes of what may run in it. */
export interface Page {
  html: Buffer
  scripts: string
  styles: string
}

/** What the bundler has made, as setup.mjs puts it beside this file. @throws ENOENT */
export function loadPage(): Page {
  const html = readFileSync(path.join(__dirname, 'page.html'))
  const text = html.toString()
  return { html, scripts: hashes(text, 'script'), styles: hashes(text, 'style') }
}

/** Headers of every answer. host: as the request named us; it has been checked. */
export function securityHeaders(page: Page | undefined, host: string): Record<string, string> {
  const inline = page
    ? [`script-src ${page.scripts}`, `style-src ${page.styles}`, `connect-src 'self' ws://${host}`, 'img-src data:']
    : []
  const policy = [
    "default-src 'none'",
    ...inline,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]
  return {
    'content-security-policy': policy.join('; '),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
  }
}

/** A browser hashes the text between the tags, line ends as one character each. */
function hashes(html: string, element: 'script' | 'style'): string {
  const blocks = html.matchAll(new RegExp(`<${element}(?:\\s[^>]*)?>([\\s\\S]*?)</${element}>`, 'g'))
  const list = [...blocks].map(([, text]) => {
    const digest = createHash('sha256').update(text!.replace(/\r\n?/g, '\n')).digest('base64')
    return `'sha256-${digest}'`
  })
  return list.length === 0 ? "'none'" : list.join(' ')
}
