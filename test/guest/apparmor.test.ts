/** Proves that deploy/apparmor-libvirt-qemu compiles where it belongs: in the profile that libvirt of this release gives a domain. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Archive } from '../lab/archive'
import { Progress } from '../lab/progress'
import { apparmorPackages } from '../lab/tools'
import { attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'

const domain = 'libvirt-70265d23-1753-485c-82c0-d5d3f4266dc4'
let folder: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-apparmor-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** What the kernel would load: nothing of it is loaded. */
function compile(packages: string, local: string) {
  const base = path.join(folder, 'base')
  cpSync(path.join(packages, 'etc/apparmor.d'), base, { recursive: true })
  mkdirSync(path.join(base, 'local/abstractions'), { recursive: true })
  writeFileSync(path.join(base, 'local/abstractions/libvirt-qemu'), local)
  const template = readFileSync(path.join(base, 'libvirt/TEMPLATE.qemu'), 'latin1')
  const profile = path.join(folder, 'profile')
  writeFileSync(profile, template.replaceAll('LIBVIRT_TEMPLATE', domain))
  const features = path.join(packages, 'usr/share/apparmor-features/features')
  const options = ['--skip-kernel-load', '--skip-cache', '--base', base, '--Include', base]
  const parser = path.join(packages, 'sbin/apparmor_parser')
  return attemptNow(parser, [...options, '--features-file', features, '--stdout', profile], {
    encoding: 'latin1',
  })
}

test('the snippet is AppArmor, and adds rules to the profile of a domain', async () => {
  let packages: string
  try {
    packages = await apparmorPackages(new Archive('bookworm', false, new Progress()))
  } catch (error) {
    if (process.env.CI) throw error
    process.stderr.write(`\nLEFT OUT: AppArmor's profiles: ${(error as Error).message}\n\n`)
    return
  }
  const snippet = readFileSync(path.join(packageRoot, 'deploy/apparmor-libvirt-qemu'), 'utf8')
  const [without, with_, wrong] = ['', snippet, snippet.replace(' rw,', ' rw')].map(local =>
    compile(packages, local),
  )
  expect([without!.status, with_!.status]).toEqual([0, 0])
  expect(with_!.stdout.length).toBeGreaterThan(without!.stdout.length)
  expect(wrong!.status).not.toBe(0)
})
