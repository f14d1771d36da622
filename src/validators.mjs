// Makes validators of the configuration files from their schemas: a start needs no schema compiler. The compiler of
// TypeScript needs them, so this runs before there is anything compiled, as protocol/build.mjs does.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const folder = path.dirname(fileURLToPath(import.meta.url))
const schemas = { 'broker/config': 'configSchema', 'client/ctl/vm': 'vmSchema' }

for (const [room, schema] of Object.entries(schemas)) {
  const { outputFiles } = buildSync({
    stdin: {
      resolveDir: folder,
      contents: `import Ajv from 'ajv'
        import standaloneCode from 'ajv/dist/standalone'
        import { ${schema} } from './${room}/schema'
        const ajv = new Ajv({ strict: true, allowUnionTypes: true, code: { source: true, lines: true } })
        export const code = standaloneCode(ajv, ajv.compile(${schema}))`,
    },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    logLevel: 'warning',
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire('${folder}/')`,
    },
  })
  const { code } = await import(
    `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
  )
  const text = `// Generated from ../schema.ts by 'node setup.mjs'; edit that instead.
// @ts-nocheck
import type { SchemaError } from '${path.relative(`${room}/generated`, '../protocol/toml')}'
${code
  .replace('"use strict";', '')
  .replace(/^module\.exports = .*$/m, '')
  .replace(/^module\.exports\.default = (\w+);/m, '')}
export const validate: { (value: unknown): boolean; errors?: readonly SchemaError[] | null } = ${/module\.exports = (\w+)/.exec(code)[1]}
`
  const file = path.join(folder, room, 'generated/validate.ts')
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}
