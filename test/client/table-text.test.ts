/**
 * Proves that broker-ctl's tables line up, that no name can send escape sequences to a terminal, and that each
 * failure has its exit code.
 */
import { BrokerError } from '../../src/client'
import { exitCode, explain, Failure, UsageError } from '../../src/client/ctl/exit'
import { fields, printable, table } from '../../src/client/ctl/table'

test('columns line up, numbers to the right', () => {
  // Proves the layout that people read and no blanks that break copying.
  const rows = [
    { name: 'a', size: 5 },
    { name: 'longer', size: 1000 },
  ]
  const text = table(rows, [
    { title: 'SIZE', cell: row => String(row.size), right: true },
    { title: 'NAME', cell: row => row.name },
  ])
  expect(text).toBe('SIZE  NAME\n   5  a\n1000  longer')
  expect(
    fields([
      ['a', '1'],
      ['bcd', '2'],
      ['gone', undefined],
    ]),
  ).toBe('a    1\nbcd  2')
})

test("other people's text can't write on the terminal", () => {
  // Proves that an escape sequence in a name or in metadata is shown, not obeyed.
  expect(printable('a\u001b[2Jb\n\u009bc\u2028')).toBe('a\\u001b[2Jb\\u000a\\u009bc\\u2028')
  expect(printable('gpj.\u202eexe')).toBe('gpj.\\u202eexe')
  expect(printable('vm\u{e0041}')).toBe('vm\\u{e0041}')
  expect(explain(new BrokerError('NotFound', 'no "\u009b2J"\nx'), false).text).toBe(
    'broker-ctl: NotFound: no "\\u009b2J"\nx',
  )
})

test('each kind of failure has its exit code, its line and its JSON', () => {
  // Proves what the help lists.
  const refused = new BrokerError('NoSpace', 'full', { parameters: { range: 'main' } })
  expect(explain(refused, false)).toEqual({
    text: expect.stringMatching(/^broker-ctl: NoSpace: full\nhint: /),
    exit: 1,
  })
  expect(JSON.parse(explain(refused, true).text)).toMatchObject({
    error: 'NoSpace',
    parameters: { range: 'main' },
  })
  expect(explain(new BrokerError('BrokerUnreachable', 'x'), false).exit).toBe(exitCode.unreachable)
  expect(explain(new BrokerError('Aborted', 'x'), false).exit).toBe(exitCode.interrupted)
  expect(explain(new UsageError('x'), false)).toEqual({
    text: 'broker-ctl: Usage: x\nhint: broker-ctl --help explains it',
    exit: 2,
  })
  expect(explain(new Failure('CommandNotFound', 'x', 127), false).exit).toBe(127)
})
