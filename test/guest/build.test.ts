/** Proves that test programs in C compile when their source changes, and only then. */
import { mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'
import { buildProgram } from './build'

const long = new Date('2020-01-01T00:00:00Z')

describe('buildProgram', () => {
  let folder: string
  let source: string
  let built: string | undefined

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'membroker-build-'))
    source = path.join(folder, `program-${path.basename(folder)}.c`)
    built = undefined
  })

  afterEach(() => {
    rmSync(folder, { recursive: true })
    if (built) rmSync(built)
  })

  function build(): string {
    built = buildProgram(source)
    if (built === undefined) throw new Error('this test needs a C compiler')
    return built
  }

  test('compiles once, and again only when the source or a header beside it is newer', () => {
    writeFileSync(path.join(folder, 'status.h'), '#define STATUS 7\n')
    writeFileSync(source, '#include "status.h"\nint main(void) { return STATUS; }\n')
    utimesSync(source, long, long)
    utimesSync(path.join(folder, 'status.h'), long, long)
    const binary = build()
    expect(path.dirname(binary)).toBe(path.join(packageRoot, '.cache'))
    expect(attemptNow(binary).status).toBe(7)

    const { ino } = statSync(binary)
    build()
    expect(statSync(binary).ino).toBe(ino)

    writeFileSync(path.join(folder, 'status.h'), '#define STATUS 8\n')
    const soon = new Date(Date.now() + 10_000) // clocks of files are coarse
    utimesSync(path.join(folder, 'status.h'), soon, soon)
    build()
    expect(attemptNow(binary).status).toBe(8)
  })

  test('a source that does not compile fails with the compiler’s words, warnings included', () => {
    writeFileSync(source, 'int main(void) { int unused; return 0; }\n')
    expect(() => build()).toThrow(/unused variable/)
  })
})

test('floor.c measures: every figure it prints is a real, positive one', () => {
  if (process.arch !== 'x64') return console.warn('LEFT OUT: floor.c is for x86-64')
  const floor = buildProgram('test/bench/floor.c')
  if (floor === undefined) throw new Error('this test needs a C compiler')
  const args = ['--grants', '50', '--batches', '5', '--commits', '1000', '--starts', '5', '--bytes', '4096']
  const { status, stdout, stderr } = attemptNow(floor, args)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  const figures = JSON.parse(stdout)
  expect(figures.counts).toMatchObject({ grants: 50, batches: 5, commits: 1000, starts: 5, bytes: 4096 })
  for (const grant of [figures.grantNewMemfd, figures.grantExistingFile]) {
    expect(grant.mappedP50).toBeGreaterThan(0)
    expect(grant.wholeP50).toBeGreaterThan(grant.mappedP50)
    expect(grant.mappedP99).toBeGreaterThanOrEqual(grant.mappedP50)
    expect(grant.pipelined.grantsPerSecond * grant.pipelined.nanoseconds).toBeGreaterThan(0)
  }
  expect(figures.commitMean).toBeGreaterThan(0)
  expect(figures.startP99).toBeGreaterThanOrEqual(figures.startP50)
  expect(figures.startP50).toBeGreaterThan(figures.grantNewMemfd.mappedP50)
})
