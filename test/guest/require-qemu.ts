import { accessSync, constants, existsSync } from 'node:fs'
import path from 'node:path'
import { runNow } from '../support/child'
import { cacheFolder } from './build'

const program = 'qemu-system-x86_64'
const packageName = 'qemu-system-x86'

/**
 * The path of QEMU. Where it is missing, it is installed if this is Debian (or its kin) and we are root. Where that
 * can't be: throws in CI, because a test left out there is a hole nobody sees; elsewhere warns and returns undefined.
 */
export function requireQemu(): string | undefined {
  const found = findProgram(program)
  if (found) return found
  const failure = installPackage(packageName, program)
  const installed = findProgram(program)
  if (installed) return installed
  const message = `${program} is missing (${failure ?? `the package did not bring it`}); install the package ${packageName}`
  if (process.env.CI) throw new Error(message)
  process.stderr.write(`\nLEFT OUT: every test that needs QEMU. ${message}\n\n`)
  return undefined
}

/** Declares tests that need QEMU; where it is missing, one test in their place, which fails in CI. */
export function withQemu(tests: (qemu: string) => void): void {
  const qemu = requireQemu()
  if (qemu !== undefined) {
    tests(qemu)
    return
  }
  test('nothing of this suite ran: QEMU is missing', () => {
    expect(process.env.CI).toBeFalsy()
  })
}

/** The program's path in PATH; undefined when it is not there. */
export function findProgram(name: string): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const candidate = path.join(folder, name)
    try {
      accessSync(candidate, constants.X_OK)
      return candidate
    } catch {
      // Not in this folder: look in the next.
    }
  }
  return undefined
}

/** Install the packages that bring a program with the system's package manager; returns why not, or undefined when it went well. */
export function installPackage(packageName: string, program: string): string | undefined {
  if (process.getuid?.() !== 0) return 'not root, so it was not installed'
  if (!existsSync('/etc/debian_version') || !findProgram('apt-get')) return 'no apt-get here'
  process.stderr.write(`\ninstalling ${packageName}, once...\n`)
  // Several test workers may come here at once; all but the first find it installed when the lock is theirs.
  const script = `command -v ${program} || { apt-get update && apt-get install -y --no-install-recommends ${packageName}; }`
  try {
    runNow('flock', [path.join(cacheFolder(), 'apt.lock'), 'sh', '-c', script], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      boundMs: 900_000,
      needs: "the distribution's archive",
    })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
