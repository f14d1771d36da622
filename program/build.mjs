// Bundles each program into one file, as start.ts expects it.
//   node build.mjs FOLDER     FOLDER has start.js already
import { chmodSync, copyFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const programs = {
  membrokerd: 'src/broker/main.ts',
  'broker-ctl': 'src/client/ctl/main.ts',
  'devdax-helper': 'src/broker/source/devdax/helper-main.ts',
}
const folder = path.resolve(process.argv[2])

await build({
  absWorkingDir: path.join(path.dirname(fileURLToPath(import.meta.url)), '..'),
  entryPoints: Object.entries(programs).map(([name, file]) => ({ in: file, out: `${name}.bundle` })),
  outdir: folder,
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20.19',
  minifyWhitespace: true,
  // Node prints the line of an error that nobody catches.
  lineLimit: 120,
  legalComments: 'none',
  sourcemap: 'external',
  sourcesContent: false,
  banner: { js: '(function (require, module, __filename, __dirname) {' },
  footer: { js: '})' },
  logLevel: 'warning',
})
for (const name of Object.keys(programs)) {
  const file = path.join(folder, `${name}.js`)
  copyFileSync(path.join(folder, 'start.js'), file)
  chmodSync(file, 0o755)
  rmSync(path.join(folder, `${name}.cache`), { force: true })
}
