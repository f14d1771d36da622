/**
 * Proves that a kernel is found with its own initrd and release, whatever link or name leads to it, and that nobody gets one
 * without an initrd unless he wants none.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { UsageError } from '../../../src/client/ctl/exit'
import { findBuild, findKernel, loadCommand, loadedLine } from '../../../src/client/ctl/host/kernel-image'
import { kernelFile } from '../support/kernel-file'

let root: string
let boot: string
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'membroker-kernel-image-'))
  boot = path.join(root, 'boot')
  mkdirSync(boot)
})
afterEach(() => rmSync(root, { recursive: true }))

function inBoot(name: string): string {
  const file = path.join(boot, name)
  writeFileSync(file, '')
  return file
}

test.each([
  ['Debian', 'vmlinuz-9.9.1-2-amd64', undefined, 'initrd.img-9.9.1-2-amd64', '9.9.1-2-amd64'],
  ['Fedora', 'vmlinuz-9.9.1', undefined, 'initramfs-9.9.1.img', '9.9.1'],
  [
    'Arch, whose names have no release',
    'vmlinuz-linux',
    '9.9.1-arch1-1',
    'initramfs-linux.img',
    '9.9.1-arch1-1',
  ],
  ['a name without anything', 'vmlinuz', '9.9.1', 'initrd-9.9.1', '9.9.1'],
  ['a name that is wrong about the release', 'vmlinuz-9.9.0', '9.9.1', 'initrd.img-9.9.0', '9.9.1'],
])('the initrd and the release of a kernel are its own: %s', (_what, name, release, initrd, expected) => {
  const image = kernelFile(boot, name, release)
  const beside = inBoot(initrd)
  inBoot('initrd.img-9.9.8')
  const link = path.join(root, 'vmlinuz')
  symlinkSync(path.join('boot', name), link)
  for (const named of [image, link]) {
    const found = findKernel(named, undefined)
    const build = { release: expected, releaseBy: release ? 'image' : 'name', options: undefined }
    expect(found).toMatchObject({ image, initrd: beside, build })
    expect(loadCommand(found, 'quiet')).toEqual([
      ...['kexec', '-s', '-l', image, `--initrd=${beside}`, '--command-line=quiet'],
    ])
  }
})

test.each([
  ['kernel-install', 'linux', 'initrd'],
  ['ostree', 'vmlinuz', 'initramfs.img'],
  ['another one', 'vmlinuz', 'initrd.img'],
])('a kernel in a folder of its release has the initrd that is there: %s', (_what, name, initrd) => {
  const own = path.join(boot, '9.9.1')
  const other = path.join(boot, '9.9.2')
  for (const folder of [own, other]) {
    mkdirSync(folder)
    writeFileSync(path.join(folder, initrd), '')
  }
  const beside = path.join(own, initrd)
  expect(findKernel(kernelFile(own, name, '9.9.1'), undefined)).toMatchObject({
    initrd: beside,
    build: { release: '9.9.1', releaseBy: 'image' },
  })
  expect(findKernel(kernelFile(own, name), undefined)).toMatchObject({
    initrd: beside,
    build: { release: '9.9.1', releaseBy: 'name' },
  })
  // A folder of another release may keep another one's.
  expect(() => findKernel(kernelFile(other, name, '9.9.1'), undefined)).toThrow(/there is no initrd for /)
})

test('an image that ends in its header says nothing of its release', () => {
  const image = kernelFile(boot, 'vmlinuz-9.9.1', '9.9.3')
  truncateSync(image, 0x20f)
  expect(findBuild(image)).toMatchObject({ release: '9.9.1', releaseBy: 'name' })
})

test('without an initrd, a kernel is refused, and one that is to have none is not', () => {
  for (const name of ['vmlinuz', 'vmlinuz-9.9.9']) {
    const image = kernelFile(boot, name)
    expect(() => findKernel(image, undefined)).toThrow(UsageError)
    expect(() => findKernel(image, undefined)).toThrow(/there is no initrd for .*--initrd none/)
    const none = findKernel(image, 'none')
    expect(none).toMatchObject({ image, initrd: undefined })
    expect(loadCommand(none, 'quiet')).toEqual(['kexec', '-s', '-l', image, '--command-line=quiet'])
    expect(findKernel(image, inBoot('my.img')).initrd).toBe(path.join(boot, 'my.img'))
    expect(() => findKernel(image, path.join(boot, 'nowhere'))).toThrow(/--initrd: there is no .*nowhere/)
  }
  expect(() => findKernel(path.join(boot, 'nowhere'), 'none')).toThrow(/--kernel: there is no .*nowhere/)
  expect(() => findKernel('9.9.9-nowhere', 'none')).toThrow(/no \/boot\/vmlinuz-9.9.9-nowhere/)
  expect(findBuild(kernelFile(boot, 'bzImage'))).toEqual({ options: undefined, modules: undefined })
})

test("what a boot loader put on the running kernel's line is not for the next one", () => {
  expect(loadedLine('BOOT_IMAGE=/vmlinuz-1 root=/dev/vda quiet initrd=/initrd.img-1')).toBe(
    'root=/dev/vda quiet',
  )
})
