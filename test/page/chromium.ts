import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { cacheFolder } from '../guest/build'
import { findProgram } from '../guest/require-qemu'
import { packageRoot } from '../support/package-root'

const executablePath = '/usr/bin/chromium'

/** A bound on hanging, not on speed. */
export const boundMs = 120_000

/**
 * The path of Chromium. Where it is missing, it is installed if this is Debian (or its kin) and we are root. Where that
 * can't be: throws in CI, because a test left out there is a hole nobody sees; elsewhere warns and returns undefined.
 */
export function requireChromium(): string | undefined {
  if (existsSync(executablePath)) return executablePath
  const failure = install()
  if (existsSync(executablePath)) return executablePath
  const message = `${executablePath} is missing (${failure ?? 'the package did not bring it'}); install the package chromium`
  if (process.env.CI) throw new Error(message)
  process.stderr.write(`\nLEFT OUT: every test that needs a browser. ${message}\n\n`)
  return undefined
}

/** Install Chromium with the system's package manager; returns why not, or undefined when it went well. */
function install(): string | undefined {
  if (process.getuid?.() !== 0) return 'not root, so it was not installed'
  if (!existsSync('/etc/debian_version') || !findProgram('apt-get')) return 'no apt-get here'
  process.stderr.write('\ninstalling chromium, once (about 100 MB)...\n')
  // Several test workers may come here at once; all but the first find it installed when the lock is theirs.
  const packages = 'chromium fonts-dejavu-core'
  const script = `test -e ${executablePath} || { apt-get update && apt-get install -y --no-install-recommends ${packages}; }`
  const { status } = spawnSync('flock', [path.join(cacheFolder(), 'apt.lock'), 'sh', '-c', script], {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  return status === 0 ? undefined : `apt-get failed with status ${status}`
}

/** A browser of its own, with a new profile. */
export function launch(): Promise<Browser> {
  return chromium.launch({
    timeout: boundMs,
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      '--disable-gpu',
    ],
  })
}

/** Where pictures of the page are left for people to look at. */
export function screenshotPath(name: string): string {
  const folder = path.join(packageRoot, 'coverage/screenshots')
  mkdirSync(folder, { recursive: true })
  return path.join(folder, `${name}.png`)
}
