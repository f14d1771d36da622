// Proves that the whole Varlink grammar is read, that what is not Varlink is refused at the very place where it goes
// wrong, and that printing and parsing are each other's inverse.
import fc from 'fast-check'
import type { Field, Interface, Struct, Type } from '../../../protocol/idl/ast'
import { parseInterface } from '../../../protocol/idl/parser'
import { IdlError } from '../../../protocol/idl/scanner'
import { printInterface, printType } from './printer'

const text = `# About
#   it all.

# The example.
interface org.ex-ample.a1

# A colour. # still
type Colour (red, dark_green)
# far away

type Empty ()
type Everything (
  flag: bool, # behind, so no doc comment
  # How many.
  count: int,
  ratio: float, text: string, raw: object, whatever: any,
  list: []int,
  table: [string]?Colour,
  set: [string](),
  maybe: ?[]string,
  inline: (x: int, kind: ?(up, down)),
  next: ?Everything
)
method Do(colour: Colour) -> (result: []Everything)
method Nothing()->()
error Broken (why: string)
`

test('every form of the grammar', () => {
  const parsed = parseInterface(text)
  expect(parsed).toMatchObject({ name: 'org.ex-ample.a1', doc: 'The example.' })
  expect(parsed.types.map(({ name, doc }) => [name, doc])).toEqual([
    ['Colour', 'A colour. # still'],
    ['Empty', ''],
    ['Everything', ''],
  ])
  expect(parsed.types[0]!.type).toEqual({ kind: 'enum', values: ['red', 'dark_green'] })
  const { fields } = parsed.types[2]!.type as Struct
  expect(fields.map(({ name, doc, type }) => `${name}: ${printType(type)} ${doc}`.trim())).toEqual([
    'flag: bool',
    'count: int How many.',
    'ratio: float',
    'text: string',
    'raw: object',
    'whatever: any',
    'list: []int',
    'table: [string]?Colour',
    'set: [string]()',
    'maybe: ?[]string',
    'inline: (x: int, kind: ?(up, down))',
    'next: ?Everything',
  ])
  expect(parsed.methods).toEqual([
    {
      name: 'Do',
      doc: '',
      in: {
        kind: 'struct',
        fields: [{ name: 'colour', doc: '', type: { kind: 'reference', name: 'Colour' } }],
      },
      out: {
        kind: 'struct',
        fields: [
          {
            name: 'result',
            doc: '',
            type: { kind: 'array', element: { kind: 'reference', name: 'Everything' } },
          },
        ],
      },
    },
    { name: 'Nothing', doc: '', in: { kind: 'struct', fields: [] }, out: { kind: 'struct', fields: [] } },
  ])
  expect(parsed.errors.map(({ name }) => name)).toEqual(['Broken'])
})

test('carriage returns and tabs are space', () => {
  expect(parseInterface('# Doc\r\ninterface a.b\r\n\r\nerror\tX ()\r\n')).toMatchObject({
    name: 'a.b',
    doc: 'Doc',
    errors: [{ name: 'X' }],
  })
})

test.each([
  ['', 1, 1, "'interface' expected, not the end"],
  ['interface', 1, 10, "an interface name, as 'org.example.name' expected, not the end"],
  ['interface nodots', 1, 11, 'an interface name'],
  ['interface a.b-', 1, 11, 'an interface name'],
  ['interface 1a.b', 1, 11, 'an interface name'],
  ['interface a..b', 1, 11, 'an interface name'],
  ['interface a.b\nfoo X ()', 2, 1, "'type', 'method' or 'error' expected, not 'foo'"],
  ['interface a.b\ninterface c.d', 2, 1, "'type', 'method' or 'error' expected"],
  ['interface a.b\ntype lower ()', 2, 6, 'a name that begins with a capital letter expected'],
  ['interface a.b\ntype X_Y ()', 2, 6, 'a name that begins with a capital letter expected'],
  ['interface a.b\ntype X ()\nerror X ()', 3, 7, "'X' is defined twice"],
  ['interface a.b\ntype X ()\nmethod X() -> ()', 3, 8, "'X' is defined twice"],
  ['interface a.b\ntype X', 2, 7, "'(' expected, not the end"],
  ['interface a.b\ntype X (a, b: int)', 2, 13, "')' expected, not ':'"],
  ['interface a.b\ntype X (a: int, b)', 2, 18, "':' expected, not ')'"],
  ['interface a.b\ntype X (a, b, a)', 2, 15, "'a' is here twice"],
  ['interface a.b\ntype X (a: int, a: int)', 2, 17, "'a' is here twice"],
  ['interface a.b\ntype X (a: int,)', 2, 16, "a field name expected, not ')'"],
  ['interface a.b\ntype X (_a: int)', 2, 9, 'a field name expected'],
  ['interface a.b\ntype X (a__b: int)', 2, 9, 'a field name expected'],
  ['interface a.b\ntype X (a_: int)', 2, 9, 'a field name expected'],
  ['interface a.b\ntype X (a: integer)', 2, 12, "a type expected, not 'integer'"],
  ['interface a.b\ntype X (a: Missing)', 2, 12, "no type 'Missing'"],
  ['interface a.b\ntype X (a: ??int)', 2, 13, "'?' twice"],
  ['interface a.b\ntype X (a: [int]int)', 2, 13, "'string' expected, not 'int'"],
  ['interface a.b\ntype X (a: [string int)', 2, 20, "']' expected, not 'int'"],
  ['interface a.b\ntype X (a: [])', 2, 14, "a type expected, not ')'"],
  ['interface a.b\ntype X (\n  a: int\n  b: int\n)', 4, 3, "')' expected, not 'b'"],
  ['interface a.b\ntype X int', 2, 8, "'(' expected, not 'int'"],
  ['interface a.b\nmethod X()', 2, 11, "'->' expected, not the end"],
  ['interface a.b\nmethod X(a) -> ()', 2, 11, "':' expected, not ')'"],
  ['interface a.b\nmethod X() -> (a, b)', 2, 17, "':' expected, not ','"],
  ['interface a.b\ntype A (b: B)\ntype B (c: (a: A))', 2, 6, "'A' contains itself"],
  ['interface a.b\ntype X (a: int);', 2, 16, "unexpected ';'"],
  ['interface a.b\n  \u0000', 2, 3, 'unexpected U+0000'],
  ['interface a.b\ntype X (a\u00a0: int)', 2, 10, 'unexpected U+00a0'],
])('%j is refused at line %d, column %d: %s', (bad, line, column, message) => {
  let error: unknown
  try {
    parseInterface(bad)
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(IdlError)
  expect(error).toMatchObject({ line, column, message: expect.stringContaining(message) })
})

const fieldNames = fc.stringMatching(/^[a-z](_?[A-Za-z0-9]){0,6}$/)
const docs = fc
  .array(fc.stringMatching(/^[ -~]{0,20}[!-~]$/), { maxLength: 3 })
  .map(lines => lines.join('\n'))

const { type: anyType, struct: anyStruct } = fc.letrec<{
  type: Type
  notNullable: Type
  struct: Struct
  field: Field
}>(tie => ({
  field: fc.record({ name: fieldNames, doc: docs, type: tie('type') }),
  struct: fc
    .uniqueArray(tie('field'), { selector: ({ name }) => name, maxLength: 4 })
    .map(fields => ({ kind: 'struct' as const, fields })),
  notNullable: fc.oneof(
    { maxDepth: 4 },
    fc
      .constantFrom('bool', 'int', 'float', 'string', 'object', 'any')
      .map(name => ({ kind: 'primitive', name }) as Type),
    fc.constant<Type>({ kind: 'reference', name: 'Known' }),
    fc
      .uniqueArray(fieldNames, { minLength: 1, maxLength: 4 })
      .map(values => ({ kind: 'enum' as const, values })),
    tie('type').map(element => ({ kind: 'array' as const, element })),
    tie('type').map(element => ({ kind: 'map' as const, element })),
    tie('struct'),
  ),
  type: fc.oneof(
    tie('notNullable'),
    tie('notNullable').map(of => ({ kind: 'nullable', of }) as Type),
  ),
}))

const anyInterface: fc.Arbitrary<Interface> = fc
  .record({
    doc: docs,
    name: fc.stringMatching(/^[a-z](-{0,2}[a-z0-9]){0,3}(\.[a-z0-9](-{0,2}[A-Z0-9]){0,3}){1,3}$/),
    structs: fc.array(fc.tuple(docs, anyStruct), { maxLength: 3 }),
    methods: fc.array(fc.tuple(docs, anyStruct, anyStruct), { maxLength: 3 }),
    errors: fc.array(fc.tuple(docs, anyStruct), { maxLength: 3 }),
    extra: anyType,
  })
  .map(({ doc, name, structs, methods, errors, extra }) => ({
    name,
    doc,
    types: [
      { name: 'Known', doc: '', type: { kind: 'enum', values: ['x'] } },
      { name: 'Extra', doc: '', type: { kind: 'struct', fields: [{ name: 'extra', doc: '', type: extra }] } },
      ...structs.map(([structDoc, type], index) => ({ name: `T${index}`, doc: structDoc, type })),
    ],
    methods: methods.map(([methodDoc, input, out], index) => ({
      name: `M${index}`,
      doc: methodDoc,
      in: input,
      out,
    })),
    errors: errors.map(([errorDoc, parameters], index) => ({ name: `E${index}`, doc: errorDoc, parameters })),
  }))

test('any interface printed and parsed is itself', () => {
  fc.assert(
    fc.property(anyInterface, made => {
      expect(parseInterface(printInterface(made))).toEqual(made)
    }),
  )
})

test('any damage to an interface is either still one or an IdlError within the text', () => {
  const damage = fc.record({ at: fc.nat(text.length), drop: fc.nat(5), put: fc.string({ maxLength: 4 }) })
  fc.assert(
    fc.property(damage, ({ at, drop, put }) => {
      const damaged = text.slice(0, at) + put + text.slice(at + drop)
      try {
        parseInterface(damaged)
      } catch (error) {
        expect(error).toBeInstanceOf(IdlError)
        const { line, column } = error as IdlError
        const lines = damaged.split('\n')
        expect(line).toBeLessThanOrEqual(lines.length)
        expect(column).toBeLessThanOrEqual(lines[line - 1]!.length + 1)
      }
    }),
    { numRuns: 500 },
  )
})
