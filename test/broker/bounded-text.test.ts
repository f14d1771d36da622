/** Proves that a text from outside is stored and sent in bounded, well-formed UTF-8, cut after a whole character. */
import { boundedText } from '../../src/broker/bounded-text'

test('what fits stays as it is', () => {
  expect(boundedText('', 8)).toBe('')
  expect(boundedText('zwölf', 6)).toBe('zwölf')
})

test.each([
  ['one byte', 'x'],
  ['two bytes', 'ö'],
  ['three bytes', '界'],
  ['four bytes', '𝒳'],
])('characters of %s are cut whole', (_, character) => {
  const text = character.repeat(40)
  for (let bytesMax = 3; bytesMax < 40; bytesMax++) {
    const bounded = boundedText(text, bytesMax)
    expect(Buffer.byteLength(bounded)).toBeLessThanOrEqual(bytesMax)
    expect(Buffer.byteLength(bounded)).toBeGreaterThan(bytesMax - Buffer.byteLength(character))
    expect(bounded).toMatch(/^(?:x*|ö*|界*|(?:𝒳)*)…$/)
  }
})

test('half a surrogate pair becomes the replacement character', () => {
  expect(boundedText('a\ud835', 8)).toBe('a\ufffd')
  expect(boundedText(`${'x'.repeat(9)}\ud835`, 8).isWellFormed()).toBe(true)
})
