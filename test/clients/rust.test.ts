/** Proves that the client in Rust of docs/example/rust uses libmembroker through extern "C", compiled by the distribution's rustc. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attemptNow, run } from '../support/child'
import { packageRoot } from '../support/package-root'
import { packagedProgram } from '../support/packaged-program'
import { TestBroker } from '../support/test-broker'

const folder = mkdtempSync(path.join(tmpdir(), 'membroker-rust-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('it finds its counter again', async () => {
  const rustc = process.arch === 'x64' ? await packagedProgram('rustc', path.join(folder, 'bin')) : undefined
  if (rustc === undefined) return
  const library = path.join(folder, 'lib')
  await run(process.execPath, [path.join(packageRoot, 'native/lib/build.mjs'), '--out', library])
  const program = path.join(folder, 'counter')
  await run(rustc, [
    ...['--edition', '2021', '-D', 'warnings', '-O', '-L', library, '-C', `link-arg=-Wl,-rpath,${library}`],
    ...['-o', program, path.join(packageRoot, 'docs/example/rust/counter.rs')],
  ])
  const broker = await TestBroker.start()
  try {
    const count = () => attemptNow(program, [], { env: { MEMBROKER_SOCKET: broker.socket } })
    expect(count()).toMatchObject({ stdout: 'run 1\n', stderr: '', status: 0 })
    expect(count()).toMatchObject({ stdout: 'run 2\n', stderr: '', status: 0 })
    await broker.client().call('Claim', { name: 'example/rust' })
    expect(count()).toMatchObject({ status: 1, stderr: expect.stringContaining('AlreadyClaimed') })
  } finally {
    await broker.dispose()
  }
})
