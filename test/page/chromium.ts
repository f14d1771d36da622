import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { installPackage } from '../guest/require-qemu'
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
  const failure = installPackage('chromium fonts-dejavu-core', executablePath)
  if (existsSync(executablePath)) return executablePath
  const message = `${executablePath} is missing (${failure ?? 'the package did not bring it'}); install the package chromium`
  if (process.env.CI) throw new Error(message)
  process.stderr.write(`\nLEFT OUT: every test that needs a browser. ${message}\n\n`)
  return undefined
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
