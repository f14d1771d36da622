/** Proves that first contact works where /dev/shm is as small as in a container, and says what to do where it is too small. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { defaultRangeBytes } from '../../src/broker/config/config'
import { tableBytesFor } from '../../src/broker/config/range'
import { attempt } from '../support/child'
import { needsRoot } from '../support/needs-root'
import { packageRoot } from '../support/package-root'

const [MiB, GiB] = [2 ** 20, 2 ** 30]
const dist = path.join(packageRoot, 'dist')
const isRoot = needsRoot('a small /dev/shm')
const suite = isRoot ? describe : describe.skip

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-small-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Runs a script where /dev/shm has that many MiB; its variables: node, dist, folder. */
const withShm = (mib: number, script: string) => {
  const mount = `mount -t tmpfs -o size=${mib}m tmpfs /dev/shm`
  const env = { ...process.env, node: process.execPath, dist, folder, NO_COLOR: '1' }
  return attempt('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', `${mount}\n${script}`], {
    env,
  })
}

/** Starts a broker as npm start does, and does what its banner says. */
const followBanner = (options: string) => `
  "$node" "$dist/program/membrokerd.js" --socket "$folder/b.sock" ${options} >"$folder/out" 2>"$folder/log" &
  until grep -q Ctrl-C "$folder/out"; do kill -0 $! || exit 9; sleep 0.1; done
  cat "$folder/out"
  sed -n 's/^  npx broker-ctl //p' "$folder/out" | while read -r line; do
    MEMBROKER_SOCKET="$folder/b.sock" "$node" "$dist/program/broker-ctl.js" $line || exit 8
  done
  code=$?; kill $!; wait $!; exit $code`

suite('where /dev/shm is small', () => {
  test('with 64 MiB a broker takes half, and what it suggests can be done', async () => {
    const { status, stdout } = await withShm(64, followBanner(''))
    expect(stdout).toContain('It hands out 32 MiB of memory kept in /dev/shm/membroker.')
    expect(stdout).toContain('allocate vm0/ram 16M\n')
    expect(stdout).toMatch(/vm0\/ram .*16 MiB/)
    expect(status).toBe(0)
  })

  test('what others have taken is not suggested', async () => {
    const taken = 'head -c 56M /dev/zero >/dev/shm/others'
    const { status, stdout } = await withShm(64, `${taken}\n${followBanner('')}`)
    expect(stdout).toContain('allocate vm0/ram 2M\n')
    expect(status).toBe(0)
  })

  test('the banner does not claim a range that does not fit, and says how to repair that', async () => {
    const { status, stdout } = await withShm(64, followBanner('--size 1G'))
    expect(stdout).toMatch(
      /hands out nothing of range default: .* filesystem of 64 MiB, too small for a range of 1 GiB/,
    )
    expect(stdout).toContain('--size and --directory choose')
    expect(stdout).not.toMatch(/hands out 1 GiB|broker-ctl allocate/)
    expect(status).toBe(0)
  })

  test('with 64 MiB the quick start proves all of it', async () => {
    const { status, stdout, stderr } = await withShm(64, 'exec "$node" "$dist/test/quickstart/main.js"')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('16 MiB compared, none changed')
  })

  test('with 8 MiB the quick start says what to do, and leaves nothing', async () => {
    const script = '"$node" "$dist/test/quickstart/main.js"; code=$?; ls -A /dev/shm; exit $code'
    const { status, stdout, stderr } = await withShm(8, script)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toMatch(/^quickstart: \/dev\/shm has 8 MiB free, and 20 MiB are needed.*--shm-size/s)
  })
})

test('the size of a range that nobody has named fits into its filesystem, and is the same at every start', () => {
  for (const bytes of [
    16 * MiB,
    64 * MiB,
    GiB - MiB,
    GiB,
    GiB + MiB,
    GiB + 4 * MiB,
    1.5 * GiB,
    7 * GiB,
    900 * GiB,
  ]) {
    const range = defaultRangeBytes(bytes)
    expect([bytes, range + tableBytesFor(range) <= bytes, range >= MiB]).toEqual([bytes, true, true])
  }
  expect(defaultRangeBytes(1.5 * GiB)).toBe(GiB)
  expect(defaultRangeBytes(7 * GiB)).toBe(3 * GiB)
  expect(defaultRangeBytes(0)).toBe(GiB)
})
