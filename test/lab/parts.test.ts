/**
 * Proves that the parts of the lab work: choice of a kernel, its modules, the archive, the record of clients, what several
 * ask for at once, and parallel runs.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { Archive } from './archive'
import { whole } from './cache'
import { modulesInOrder } from './closure'
import { CpioWriter } from './cpio'
import { readChurnLog } from './inside/churn-log'
import { newestImage } from './kernels'
import { Pool } from './pool'
import { Progress } from './progress'

test('the newest plain kernel of a version is chosen, by number and not by letter', () => {
  const names = [
    'linux-image-6.1.0-9-amd64',
    'linux-image-6.1.0-56-amd64',
    'linux-image-6.1.0-57-cloud-amd64',
    'linux-image-6.1.0-58-amd64-dbg',
    'linux-image-6.12.95+deb12-amd64',
    'linux-image-6.12.9+deb12-amd64',
    'linux-image-6.12.96+deb12-rt-amd64',
    'linux-image-6.12.96+deb12-amd64-unsigned',
    'linux-image-amd64',
  ]
  expect(newestImage('6.1', names)).toBe('linux-image-6.1.0-56-amd64')
  expect(newestImage('6.12', names)).toBe('linux-image-6.12.95+deb12-amd64')
  expect(newestImage('7.2', names)).toBeUndefined()
})

test('modules come after what they depend on, once each, and without what the kernel has built in', async () => {
  const depends: Record<string, string> = {
    kvm_amd: 'kvm,ccp',
    kvm: 'irqbypass',
    irqbypass: '',
    ccp: 'rng-core',
  }
  const modules = await modulesInOrder(['kvm-amd', 'irqbypass', '9p'], {
    find: name => (name in depends ? `${name}.ko` : undefined),
    read: async file => Buffer.from(`ELF\0depends=${depends[file.slice(0, -3)]}\0name=x\0`),
  })
  expect(modules.map(({ name }) => name)).toEqual(['irqbypass', 'kvm', 'ccp', 'kvm_amd'])
})

test('an archive for the kernel has every entry once, its folders before it, and its bytes at a multiple of four', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-cpio-'))
  try {
    const content = path.join(folder, 'content')
    writeFileSync(content, 'five!')
    const archive = new CpioWriter(path.join(folder, 'archive'))
    await archive.file('a/b/file', content, 5, 0o755)
    await archive.text('a/text', 'x')
    await archive.link('bin', 'usr/bin')
    await archive.end()
    expect(entriesOf(readFileSync(path.join(folder, 'archive')))).toEqual([
      { name: 'a', mode: 0o040755, text: '' },
      { name: 'a/b', mode: 0o040755, text: '' },
      { name: 'a/b/file', mode: 0o100755, text: 'five!' },
      { name: 'a/text', mode: 0o100644, text: 'x' },
      { name: 'bin', mode: 0o120777, text: 'usr/bin' },
    ])
    const wrong = new CpioWriter(path.join(folder, 'wrong'))
    await expect(wrong.file('file', content, 6)).rejects.toThrow('has 5 bytes instead of 6')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

/** Reads the format as the kernel's documentation has it (buffer-format.rst). */
function entriesOf(archive: Buffer) {
  const entries = []
  let at = 0
  for (;;) {
    expect(archive.toString('latin1', at, at + 6)).toBe('070701')
    const field = (index: number) =>
      Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16)
    const [mode, size, nameBytes] = [field(1), field(6), field(11)]
    const name = archive.toString('utf8', at + 110, at + 110 + nameBytes - 1)
    const from = (at + 110 + nameBytes + 3) & ~3
    if (name === 'TRAILER!!!') return entries
    entries.push({ name, mode, text: archive.toString('utf8', from, from + size) })
    at = (from + size + 3) & ~3
  }
}

test('what a client wrote down tells what must be there after it was cut off', () => {
  const log =
    'ask a-0 2097152\ngot a-0\nwrote a-0\nask a-1 4194304\ngot a-1\ngive a-0\ngone a-0\nask a-2 2097152\ngive a-1\nwro'
  const known = [...readChurnLog(log).values()]
  expect(known).toEqual([
    { name: 'a-0', bytes: 2097152, there: 'no', written: false },
    { name: 'a-1', bytes: 4194304, there: 'maybe', written: false },
    { name: 'a-2', bytes: 2097152, there: 'maybe', written: false },
  ])
})

test('of many runs two go on at once, in order from the one that is asked for, and one that fails stops no other', async () => {
  const begun: string[] = []
  const ends = new Map<string, (failure?: Error) => void>()
  const pool = new Pool(['a', 'b', 'c', 'd', 'e'], 2, name => {
    begun.push(name)
    return new Promise<string>((resolve, reject) => {
      ends.set(name, failure => (failure ? reject(failure) : resolve(name)))
    })
  })
  const second = pool.result('b')
  expect(begun).toEqual(['b', 'a'])
  ends.get('a')!(new Error('a broke'))
  await setImmediate()
  expect(begun).toEqual(['b', 'a', 'c'])
  ends.get('b')!()
  expect(await second).toBe('b')
  await setImmediate()
  expect(begun).toEqual(['b', 'a', 'c', 'd'])
  await expect(pool.result('a')).rejects.toThrow('a broke')
  const stopped = pool.stop()
  ends.get('d')!()
  ends.get('c')!()
  expect(await stopped).toEqual(['b', 'c', 'd'])
  expect(begun).not.toContain('e')
})

test('what several ask for at once is made once, and again after a failure', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'whole-'))
  const target = path.join(folder, 'file')
  let calls = 0
  const make = async (unfinished: string) => {
    const call = ++calls
    writeFileSync(unfinished, '')
    await setImmediate()
    if (call === 1) throw new Error('no network')
    expect(existsSync(unfinished)).toBe(true)
  }
  try {
    const ask = () => whole(target, make)
    expect((await Promise.allSettled([ask(), ask()])).map(({ status }) => status)).toEqual([
      'rejected',
      'rejected',
    ])
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([target, target, target])
    expect(calls).toBe(2)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('archives of one suite take turns where apt would fail', async () => {
  const names = () => new Archive('trixie-backports', false, new Progress()).names('qemu-system-x86')
  const asked = await Promise.allSettled([names(), names()])
  if (!process.env.CI && asked.every(({ status }) => status === 'rejected')) {
    process.stderr.write('\nLEFT OUT: turns in an archive, which can not be had.\n\n')
    return
  }
  for (const one of asked)
    expect(one).toMatchObject({ status: 'fulfilled', value: expect.arrayContaining(['qemu-system-x86']) })
}, 600_000)
