// Makes generated/ from the .varlink files. The compiler needs generated/, so this runs before there is anything compiled:
// generate.ts is bundled in memory.
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const folder = path.dirname(fileURLToPath(import.meta.url))
const { outputFiles } = buildSync({
  absWorkingDir: folder,
  entryPoints: ['generate.ts'],
  bundle: true,
  write: false,
  platform: 'node',
  format: 'esm',
  logLevel: 'warning',
})
const { generate } = await import(
  `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
)
generate(folder)
