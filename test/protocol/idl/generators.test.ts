// Proves what is generated from a small interface, word for word, and that the compiled validators accept exactly the
// values the interface allows.
import { Ajv } from 'ajv'
import fc from 'fast-check'
import ts from 'typescript'
import { interfaceSchema } from '../../../protocol/idl/json-schema'
import { parseInterface } from '../../../protocol/idl/parser'
import { typescriptTypes } from '../../../protocol/idl/typescript'
import { validatorModule } from '../../../protocol/idl/validators'
import type { Validator } from '../../../protocol/wire/service'

const text = `# Small \`quoted\` \${text}.
interface org.example.small

# Two lines
# of */ comment.
type Point (
  # Metres.
  x: int,
  y: ?float
)
type Colour (red, green)

# Draws.
method Draw(points: []Point, colour: ?Colour, style: ?(thin, bold), options: ?object) -> (names: [string]Colour, where: ?Point)
method Clear() -> ()

# Too many.
error TooMany (limit: int, extra: any, more: ?any)
error Closed ()
`

const parsed = parseInterface(text)

test('TypeScript types', () => {
  expect(typescriptTypes(parsed, text, 'Small')).toBe(`/** Small \`quoted\` \${text}. */
export const smallInterfaceName = 'org.example.small'

/**
 * Two lines
 * of * / comment.
 */
export interface Point {
  /** Metres. */
  x: number
  y?: number | null | undefined
}

export type Colour = 'red' | 'green'

/** Draws. */
export interface DrawIn {
  points: Array<Point>
  colour?: Colour | null | undefined
  style?: 'thin' | 'bold' | null | undefined
  options?: Record<string, unknown> | null | undefined
}

export interface DrawOut {
  names: Record<string, Colour>
  where?: Point | null | undefined
}

export type ClearIn = Record<string, never>

export type ClearOut = Record<string, never>

/** Input and output of each method. */
export interface SmallMethods {
  /** Draws. */
  Draw: { in: DrawIn; out: DrawOut }
  Clear: { in: ClearIn; out: ClearOut }
}

export type SmallMethodName = keyof SmallMethods

export const smallMethodNames: readonly SmallMethodName[] = [
  'Draw',
  'Clear',
]

/** Parameters of each error. */
export interface SmallErrors {
  /** Too many. */
  TooMany: {
    limit: number
    extra: NonNullable<unknown>
    more?: NonNullable<unknown> | null | undefined
  }
  Closed: Record<string, never>
}

export type SmallErrorName = keyof SmallErrors

export const smallErrorNames: readonly SmallErrorName[] = [
  'TooMany',
  'Closed',
]

/** The text of the interface, for GetInterfaceDescription. */
export const smallDescription = \`${text.replace(/[`\\]|\$\{/g, '\\$&')}\`
`)
})

test('JSON Schemas', () => {
  const int = { type: 'integer', minimum: -(2 ** 53 - 1), maximum: 2 ** 53 - 1 }
  const any = { type: ['boolean', 'number', 'string', 'object', 'array'] }
  const point = {
    type: 'object',
    properties: { x: { description: 'Metres.', ...int }, y: { type: ['number', 'null'] } },
    required: ['x'],
  }
  expect(interfaceSchema(parsed)).toEqual({
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: 'varlink:org.example.small',
    description: parsed.doc,
    definitions: {
      Point: { description: 'Two lines\nof */ comment.', ...point },
      'in:Point': { description: 'Two lines\nof */ comment.', ...point, additionalProperties: false },
      Colour: { type: 'string', enum: ['red', 'green'] },
      'in:Colour': { type: 'string', enum: ['red', 'green'] },
      DrawIn: {
        description: 'Draws.',
        type: 'object',
        properties: {
          points: { type: 'array', items: { $ref: '#/definitions/in:Point' } },
          colour: { anyOf: [{ $ref: '#/definitions/in:Colour' }, { type: 'null' }] },
          style: { type: ['string', 'null'], enum: ['thin', 'bold', null] },
          options: { type: ['object', 'null'] },
        },
        required: ['points'],
        additionalProperties: false,
      },
      DrawOut: {
        type: 'object',
        properties: {
          names: { type: 'object', additionalProperties: { $ref: '#/definitions/Colour' } },
          where: { anyOf: [{ $ref: '#/definitions/Point' }, { type: 'null' }] },
        },
        required: ['names'],
      },
      ClearIn: { type: 'object', properties: {}, additionalProperties: false },
      ClearOut: { type: 'object', properties: {} },
      TooManyError: {
        description: 'Too many.',
        type: 'object',
        properties: { limit: int, extra: any, more: { type: [...any.type, 'null'] } },
        required: ['limit', 'extra'],
      },
      ClosedError: { type: 'object', properties: {} },
    },
  })
})

describe('validators', () => {
  const source = validatorModule(parsed, './small', 'Small')
  const { outputText } = ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.CommonJS } })
  const module: { exports: Record<string, Record<string, Validator>> } = { exports: {} }
  const unreachable = (name: string) => {
    throw new Error(`requires ${name}`)
  }
  new Function('module', 'exports', 'require', outputText)(module, module.exports, unreachable)
  const { validateIn, validateOut, validateError } = module.exports as Record<
    string,
    Record<string, Validator>
  >

  test('need no other module at run time', () => {
    expect(Object.keys(validateIn!)).toEqual(['Draw', 'Clear'])
  })

  test.each<[boolean, unknown]>([
    [true, { points: [] }],
    [
      true,
      { points: [{ x: 1 }, { x: -1, y: 0.5 }, { x: 2 ** 53 - 1, y: null }], colour: 'red', style: 'bold' },
    ],
    [true, { points: [], colour: null, style: null, options: null }],
    [true, { points: [], options: { any: ['thing'] } }],
    [false, {}],
    [false, { points: null }],
    [false, { points: {} }],
    [false, { points: [{}] }],
    [false, { points: [{ x: 1.5 }] }],
    [false, { points: [{ x: '1' }] }],
    [false, { points: [{ x: 2 ** 53 }] }],
    [false, { points: [{ x: -(2 ** 53) }] }],
    [false, { points: [{ x: 1, z: 1 }] }],
    [false, { points: [], colour: 'blue' }],
    [false, { points: [], style: '' }],
    [false, { points: [], options: [] }],
    [false, { points: [], option: {} }],
    [false, JSON.parse('{"points":[],"__proto__":{}}')],
    [false, []],
    [false, null],
  ])('input %s: %j', (good, value) => {
    expect(validateIn!.Draw!(value)).toBe(good)
  })

  test('outputs and errors of a newer broker are accepted, wrong ones not', () => {
    expect(validateOut!.Draw!({ names: { a: 'red' }, where: { x: 1, z: 2 }, more: 1 })).toBe(true)
    expect(validateOut!.Draw!({ names: { a: 'blue' } })).toBe(false)
    expect(validateError!.TooMany!({ limit: 1, extra: [], why: '' })).toBe(true)
    expect(validateError!.TooMany!({ limit: 1 })).toBe(false)
    expect(validateError!.TooMany!({ limit: 1, extra: 0, more: null })).toBe(true)
    expect(validateError!.TooMany!({ limit: 1, extra: null })).toBe(false)
  })

  test('agree with the schemas on any value', () => {
    const ajv = new Ajv({ allowUnionTypes: true })
    ajv.addSchema(interfaceSchema(parsed))
    const bySchema = ajv.getSchema('varlink:org.example.small#/definitions/DrawIn')!
    const member = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constantFrom('red', 'thin', null, {}))
    const point = fc.record(
      { x: fc.oneof(fc.integer(), fc.double(), fc.constant('1')), y: member },
      { requiredKeys: [] },
    )
    const value = fc.record(
      { points: fc.array(point), colour: member, style: member, options: member, extra: member },
      { requiredKeys: [] },
    )
    fc.assert(fc.property(value, drawn => expect(validateIn!.Draw!(drawn)).toBe(bySchema(drawn))))
  })
})
