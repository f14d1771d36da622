/**
 * Proves what a log line says, and that it is written before the call returns: a kill loses none. Lines that may wait come in
 * order, and an exit loses none.
 */
import path from 'node:path'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const logModule = path.join(packageRoot, 'dist/src/broker/log/log')

/** The lines of a process that runs this text with a log of level info. */
function linesOf(text: string): Record<string, unknown>[] {
  const code = `const { infoSoon, makeLog } = require(${JSON.stringify(logModule)}); const log = makeLog('info'); ${text}`
  const { stderr } = attemptNow(process.execPath, ['-e', code])
  return stderr.split('\n').flatMap(line => (line.startsWith('{') ? [JSON.parse(line)] : []))
}
const messages = (text: string) => linesOf(text).map(({ msg }) => msg)
const die = `process.kill(process.pid, 'SIGKILL')`

test('a line is written before the call returns', () => {
  const text = `log.info({ a: 1 }, 'one'); log.debug('not asked for'); log.info('two'); log.warn('three');`
  expect(messages(`${text} ${die}`)).toEqual(['one', 'two', 'three'])
})

test('as many as there are', () => {
  expect(messages(`log.info('one'); ${die}`)).toEqual(['one'])
  const many = `for (let i = 0; i < 300; i++) log.info({ text: '\u00e4'.repeat(100) }, String(i));`
  expect(messages(`${many} process.exit()`)).toEqual(Array.from({ length: 300 }, (_, index) => String(index)))
})

test('lines that may wait come before a later line, at an exit, or soon', () => {
  const waiting = `infoSoon(log, { a: 1 }, 'one'); infoSoon(log, {}, 'two');`
  expect(messages(`${waiting} log.warn('three'); ${die}`)).toEqual(['one', 'two', 'three'])
  expect(messages(`${waiting} log.info('three'); infoSoon(log, {}, 'four'); process.exit()`)).toEqual([
    'one',
    'two',
    'three',
    'four',
  ])
  expect(messages(`${waiting} throw new Error('the end')`)).toEqual(['one', 'two'])
  expect(messages(`${waiting} setTimeout(() => ${die}, 500)`)).toEqual(['one', 'two'])
  expect(messages(`log.level = 'warn'; ${waiting} process.exit()`)).toEqual([])
  const many = `for (let i = 0; i < 300; i++) infoSoon(log, { text: '\u00e4'.repeat(100) }, String(i));`
  expect(messages(`${many} process.exit()`)).toEqual(Array.from({ length: 300 }, (_, index) => String(index)))
})

test('a line has its level, its time, the fields and the message; an error has its causes', () => {
  const [line, bare] = linesOf(`
    const cause = Object.assign(new Error('full'), { code: 'ENOSPC' })
    log.error({ size: 3, gone: undefined, err: new TypeError('no file', { cause }) }, 'it "failed"')
    log.level = 'error'; log.info('unasked'); log.fatal('the end')`)
  expect(Object.keys(line!)).toEqual(['level', 'time', 'size', 'err', 'msg'])
  expect(line).toMatchObject({
    level: 50,
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    size: 3,
    err: { type: 'TypeError', message: 'no file', cause: { code: 'ENOSPC', message: 'full' } },
    msg: 'it "failed"',
  })
  expect(line).toMatchObject({ err: { stack: expect.stringContaining('no file') } })
  expect(bare).toEqual({ level: 60, time: expect.anything(), msg: 'the end' })
})
