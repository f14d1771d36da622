// Bundles the page of the debug console into one file, which the broker sends as it is: inline script and style, nothing
// from elsewhere. Its content security policy has the hashes of the two.
//   node build.mjs OUTPUT
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const folder = path.dirname(fileURLToPath(import.meta.url))

async function bundle(entry) {
  const { outputFiles } = await build({
    absWorkingDir: folder,
    entryPoints: [entry],
    bundle: true,
    write: false,
    minify: true,
    charset: 'utf8',
    legalComments: 'none',
    target: ['chrome120', 'firefox120', 'safari17'],
    format: 'iife',
    tsconfig: path.join(folder, 'tsconfig.json'),
    logLevel: 'warning',
  })
  return outputFiles[0].text.trim()
}

const [script, style] = await Promise.all([bundle('main.tsx'), bundle('style/page.css')])
for (const [text, end] of [
  [script, '</script'],
  [style, '</style'],
])
  if (text.toLowerCase().includes(end)) throw new Error(`${end} in the bundle would end it early`)

const html = readFileSync(path.join(folder, 'index.html'), 'utf8')
  .replace('/* style */', () => style)
  .replace('/* script */', () => script)
const output = path.resolve(process.argv[2])
mkdirSync(path.dirname(output), { recursive: true })
writeFileSync(output, html)
