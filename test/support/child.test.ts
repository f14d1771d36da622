// Proves that a program which never ends costs a test its bound and no more, and leaves nothing running; and that a bare
// environment still reaches the registry that this one names.
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { attempt, attemptNow, bareEnvironment, run, runNow } from './child'
import { until } from './test-broker'

const sleeper = 'sleep 1000 & echo "$!"; echo waiting >&2; wait'

test.each([
  ['beside a test', async () => attempt('sh', ['-c', sleeper], { boundMs: 1500, needs: 'a miracle' })],
  ['in its way', async () => attemptNow('sh', ['-c', sleeper], { boundMs: 1500, needs: 'a miracle' })],
])(
  'a program %s that never ends is killed at its bound with what it started, and what it waited for is said',
  async (_, start) => {
    const error = await start().then(
      () => undefined,
      reason => reason as Error,
    )
    expect(error?.message).toMatch(/^sh -c .* had not ended after 1\.5 s; it needs a miracle\. It had said:/)
    expect(error?.message).toContain('waiting')
    const pid = /^(\d+)$/m.exec(error!.message)![1]
    await until(() => !existsSync(`/proc/${pid}`), 'what it started has ended')
  },
)

test('what a program reads is what it is given, or nothing', async () => {
  expect([await run('cat', [], { input: 'text' }), runNow('cat', [], { input: 'text' })]).toEqual([
    'text',
    'text',
  ])
  expect([await run('cat'), runNow('cat')]).toEqual(['', ''])
})

test('how a program ended is told, and a bad end is an error where its output was wanted', async () => {
  const expected = { status: 3, signal: null, stdout: 'out\n', stderr: 'err\n' }
  const script = ['-c', 'echo out; echo err >&2; exit 3']
  expect(await attempt('sh', script)).toEqual(expected)
  expect(attemptNow('sh', script)).toEqual(expected)
  await expect(run('sh', script)).rejects.toThrow(/ended with 3:\nout\n\nerr/)
  expect(() => runNow('sh', script)).toThrow(/ended with 3:\nout\n\nerr/)
  await expect(run('no-such-program')).rejects.toMatchObject({ code: 'ENOENT' })
  expect(() => runNow('no-such-program')).toThrow('ENOENT')
})

test('npm in a bare environment asks the registry that the environment names', async () => {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url!)
    response.writeHead(404).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const before = process.env.npm_config_registry
  process.env.npm_config_registry = registry
  process.env.OF_NO_USE = '1'
  try {
    const env = bareEnvironment({ npm_config_noproxy: '127.0.0.1' })
    expect(env).not.toHaveProperty('OF_NO_USE')
    const { status } = await attempt('npm', ['view', 'membroker-of-nobody', '--fetch-retries=0'], { env })
    expect(status).not.toBe(0)
    expect(asked).toEqual(['/membroker-of-nobody'])
  } finally {
    if (before === undefined) delete process.env.npm_config_registry
    else process.env.npm_config_registry = before
    delete process.env.OF_NO_USE
    server.close()
  }
})
