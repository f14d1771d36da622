/** Proves that the parts of drawing on a terminal work: cells, bars, colours, keys. */

import { table } from '../../../src/client/ctl/table'
import { bar, unicodeWanted } from '../../../src/client/ctl/terminal/blocks'
import { cell, cellsOf, clip } from '../../../src/client/ctl/terminal/cells'
import { colorsWanted, isScreen, paint } from '../../../src/client/ctl/terminal/color'
import { keysIn } from '../../../src/client/ctl/terminal/keys'
import { portion } from '../../../src/client/ctl/terminal/progress'

const ascii = { unicode: false, colors: false }

test('text is measured in the cells that it takes', () => {
  // Proves the widths of what names are made of: wide, combining, joined, colored and plain characters.
  expect(
    ['abc', '漢字', 'é', 'e\u0301', '👍', '👨‍👩‍👧', '한글', 'ａ', '', paint('ab', 'red', true)].map(cellsOf),
  ).toEqual([3, 4, 1, 1, 2, 2, 4, 2, 0, 2])
})

test('what does not fit is cut where a character ends, and says so', () => {
  // Proves that a line never becomes wider than it may, and that no color runs over its end.
  expect(clip('abcdef', 6)).toBe('abcdef')
  expect(clip('abcdef', 4)).toBe('abc…')
  expect(clip('漢字漢字', 5)).toBe('漢字…')
  expect(clip('漢字漢字', 4)).toBe('漢…')
  expect(clip('abc', 0)).toBe('')
  expect(clip('abc', 1)).toBe('…')
  expect(clip(`${paint('abc', 'red', true)}def`, 4)).toBe('\u001b[31mabc\u001b[39m…\u001b[0m')
  expect(cell('ab', 4)).toBe('ab  ')
  expect(cell('ab', 4, 'right')).toBe('  ab')
  expect(cell('漢字', 3)).toBe('漢…')
  for (let width = 0; width < 12; width++) expect(cellsOf(cell('a漢e\u0301👍bc', width))).toBe(width)
})

test('columns of wide characters line up', () => {
  const rows = [{ name: '漢字' }, { name: 'abcde' }]
  const text = table(rows, [
    { title: 'N', cell: row => row.name },
    { title: 'X', cell: () => 'x' },
  ])
  expect(text).toBe('N      X\n漢字   x\nabcde  x')
})

test('colors are where they are wanted and can be seen', () => {
  // Proves the order of the switches that users know from other programs.
  const terminal = { isTTY: true } as NodeJS.WriteStream
  const pipe = {} as NodeJS.WriteStream
  const wanted = (stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv) => colorsWanted(stream, env)
  expect(wanted(terminal, { TERM: 'xterm' })).toBe(true)
  expect(wanted(terminal, { TERM: 'xterm', NO_COLOR: '' })).toBe(true)
  expect(wanted(terminal, { TERM: 'xterm', NO_COLOR: '1' })).toBe(false)
  expect(wanted(terminal, { TERM: 'dumb' })).toBe(false)
  expect(wanted(terminal, { TERM: 'xterm', FORCE_COLOR: '0' })).toBe(false)
  expect(wanted(pipe, {})).toBe(false)
  expect(wanted(pipe, { FORCE_COLOR: '1' })).toBe(true)
  expect(wanted(pipe, { FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(true)
  expect(isScreen(terminal, { TERM: 'dumb' })).toBe(false)
  expect(unicodeWanted({ LANG: 'C.UTF-8' })).toBe(true)
  expect(unicodeWanted({ LC_ALL: 'C', LANG: 'C.UTF-8' })).toBe(false)
  expect(unicodeWanted({})).toBe(false)
})

test('keys have names, whatever else a terminal sends', () => {
  expect(keysIn('q\u001b[A\u001bOB\u001b[5~\t\u001b[Z\r')).toEqual([
    'q',
    'up',
    'down',
    'pageUp',
    'tab',
    'backTab',
    'enter',
  ])
  expect(keysIn('\u001b')).toEqual(['escape'])
  expect(keysIn('漢\u0001\u001b[99;9u\u0003')).toEqual(['漢', 'ctrl-c'])
})

test('bars are in proportion, and hide nothing', () => {
  // Proves that a few bad bytes have a cell of their own, and that a bar has the width it is to have.
  expect(bar({ allocated: 50, free: 50 }, 10, ascii)).toBe('#####.....')
  expect(bar({ allocated: 1e12, poisoned: 1 }, 10, ascii)).toBe('#########!')
  expect(
    bar({ table: 1, allocated: 1, scrubbing: 1, quarantined: 1, poisoned: 1, free: 1e9 }, 10, ascii),
  ).toBe('T#sQ!.....')
  expect(bar({ free: 3 }, 4, ascii)).toBe('....')
  expect(bar({}, 4, ascii)).toBe('')
})

test('how far something is', () => {
  expect(portion(0, 0, String)).toBe('')
  expect(portion(1, 3, String)).toBe('33 %, 1 of 3')
})
