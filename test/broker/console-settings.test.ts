// Proves that the console's part of a configuration means what it says, that without it there is no console, and that no
// address which others than this host could reach is accepted, with the line of the mistake.
import { parseConfig } from '../../src/broker/config/config'

const range = '[[range]]\nname = "ram"\nsource = "memfd"\nbytes = "64MiB"\n'
const parse = (text: string) => parseConfig(`${range}${text}`, 'test.toml').console

test('without the table there is none; an empty one has the defaults', () => {
  expect(parse('')).toBeUndefined()
  expect(parse('[console]')).toEqual({
    host: '127.0.0.1',
    port: 9464,
    write: false,
    rawView: false,
    viewersMax: 16,
  })
})

test('all that can be said', () => {
  const text = '[console]\nlisten = "127.8.0.1:80"\nwrite = true\nraw_view = true\nviewers_max = 3\n'
  expect(parse(text)).toEqual({ host: '127.8.0.1', port: 80, write: true, rawView: true, viewersMax: 3 })
  expect(parse('[console]\nlisten = "[::1]:0"')).toMatchObject({ host: '::1', port: 0 })
})

test.each([
  '0.0.0.0:9464',
  '[::]:9464',
  '192.168.0.1:9464',
  '128.0.0.1:9464',
  '[2001:db8::1]:9464',
  '[::ffff:127.0.0.1]:9464',
  'localhost:9464',
  '127.0.0.1',
  ':9464',
  '9464',
  '127.0.0.1:65536',
  '127.0.0.1:-1',
  '127.1:9464',
  '0127.0.0.1:9464',
  '127.0.0.1.example.org:9464',
  '::1:9464',
  '[127.0.0.1]:9464',
  '127.0.0.1:9464/x',
  ' 127.0.0.1:9464',
  '',
])('%j is refused, with its line', listen => {
  expect(() => parse(`[console]\nwrite = false\nlisten = "${listen}"`)).toThrow(/^test\.toml:7: listen: /)
})

test.each(['viewers_max = 0', 'viewers_max = 65', 'write = "yes"', 'raw_view = 1', 'token = "secret"'])(
  '%s is refused, with its line',
  key => {
    expect(() => parse(`[console]\n${key}`)).toThrow(/^test\.toml:6: /)
  },
)
