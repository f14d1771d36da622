import Ajv from 'ajv'
import standaloneCode from 'ajv/dist/standalone'
import type { Interface } from './ast'
import { interfaceSchema, type JsonSchema } from './json-schema'

/**
 * Validators of an interface as a TypeScript module that needs nothing at run time: neither ajv nor code generation,
 * which a hardened process may not be allowed.
 */
export function validatorModule(parsed: Interface, typesModule: string, prefix: string): string {
  const schema = interfaceSchema(parsed)
  const tables = [
    { constant: 'validateIn', key: `${prefix}MethodName`, members: parsed.methods, suffix: 'In' },
    { constant: 'validateOut', key: `${prefix}MethodName`, members: parsed.methods, suffix: 'Out' },
    { constant: 'validateError', key: `${prefix}ErrorName`, members: parsed.errors, suffix: 'Error' },
  ]
  const exported = tables.flatMap(({ members, suffix }) => members.map(({ name }) => `${name}${suffix}`))
  const code = compile(schema, exported)
  const exports = tables.map(({ constant, key, members, suffix }) => {
    const entries = members.map(({ name }) => `  ${name}: ${name}${suffix},\n`)
    return `export const ${constant}: Readonly<Record<${key}, Validator>> = {\n${entries.join('')}}`
  })
  return `${[
    // The code is ajv's, which types nothing; only the tables are for others.
    '// @ts-nocheck',
    `import type { Validator } from '../wire/service'\nimport type { ${prefix}ErrorName, ${prefix}MethodName } from '${typesModule}'`,
    code,
    exports.join('\n\n'),
  ].join('\n\n')}\n`
}

// allErrors stays off: with it one hostile message could make millions of error objects.
function compile(schema: JsonSchema, exported: readonly string[]): string {
  const id = schema.$id as string
  const ajv = new Ajv({
    strict: true,
    allowUnionTypes: true,
    messages: false,
    code: { source: true, esm: true, lines: true },
  })
  ajv.addSchema(schema)
  const code = standaloneCode(
    ajv,
    Object.fromEntries(exported.map(name => [name, `${id}#/definitions/${name}`])),
  )
  if (code.includes('require(')) throw new Error('a validator needs ajv at run time')
  return code.replace(/^"use strict";/, '').replaceAll(/^export const /gm, 'const ')
}
