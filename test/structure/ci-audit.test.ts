/**
 * Proves that the audit of dependencies fails on what is grave and on nothing else, and that a registry which answers
 * nothing costs its bound and is said. npm is the real one, the registry a server of this test.
 */
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { attempt } from '../support/child'
import { packageRoot } from '../support/package-root'

let server: Server
let answer: (response: ServerResponse) => void
let asked: string[]

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume()
    asked.push(`${request.method} ${request.url}`)
    if (request.method === 'POST') answer(response)
    else response.writeHead(404).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const audit = (bound = 60) => {
  asked = []
  const registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const env = { ...process.env, npm_config_registry: registry, npm_config_noproxy: '127.0.0.1' }
  return attempt(process.execPath, [path.join(packageRoot, '.ci/audit.mjs'), String(bound)], {
    cwd: '/',
    env,
  })
}
const json = (status: number, value: object) => (response: ServerResponse) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}
// npm keeps what it has made of an advisory, by its id.
const advisory = (severity: string) => ({
  ajv: [
    { id: severity, url: 'https://example.org/1', title: 'Reads minds', severity, vulnerable_versions: '*' },
  ],
})

test.each<[string, (response: ServerResponse) => void, number, RegExp]>([
  ['nothing is known', json(200, {}), 0, /^ci: dependencies were checked: 0 with advisories/],
  [
    'something slight is known',
    json(200, advisory('moderate')),
    0,
    /ci: moderate: ajv .*Reads minds\n.*, 0 of them high/,
  ],
  [
    'something grave is known',
    json(200, advisory('high')),
    1,
    /ci: high: ajv .*Reads minds\n.*1 with advisories, 1 of them high/,
  ],
  ['the registry has no advisories', json(405, {}), 0, /^ci: dependencies were NOT checked: .*405/],
  [
    'what it answers is no JSON',
    response => response.end('<html>'),
    0,
    /^ci: dependencies were NOT checked: /,
  ],
])('when %s', async (_, reply, status, said) => {
  answer = reply
  const ended = await audit()
  expect(asked[0]).toMatch(/^POST .*advisories/)
  expect({ ...ended, said: said.test(ended.stderr) || ended.stderr }).toMatchObject({ status, said: true })
})

test('when it answers nothing, it is not waited for beyond the bound', async () => {
  answer = () => {}
  const { status, stderr } = await audit(3)
  expect(stderr).toMatch(/NOT checked: the registry gave no advisories \(nothing within 3 s\)/)
  expect(status).toBe(0)
})
