import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'

/**
 * The bytes of the page, and the hashes of the scripts that may run in it, as a Content-Security-Policy names them.
 */
export interface Page {
  html: Buffer
  scripts: string
  styles: string
}

/** The bundle that setup.mjs makes of src/page: one file that needs no other. @throws ENOENT */
export function loadPage(file = path.join(__dirname, '../../page/page.html')): Page {
  const html = readFileSync(file)
  const text = html.toString()
  return { html, scripts: hashes(text, 'script'), styles: hashes(text, 'style') }
}

function hashes(html: string, element: 'script' | 'style'): string {
  const blocks = html.matchAll(new RegExp(`<${element}(?:\\s[^>]*)?>([\\s\\S]*?)</${element}>`, 'g'))
  const list = [...blocks].map(([, text]) => {
    // Before a browser hashes a script, it turns each line end into one character.
    const digest = createHash('sha256').update(text!.replace(/\r\n?/g, '\n')).digest('base64')
    return `'sha256-${digest}'`
  })
  return list.length === 0 ? "'none'" : list.join(' ')
}
