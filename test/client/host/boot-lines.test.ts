/** Proves that the parameters that broker-ctl prints for each boot loader arrive at the kernel unchanged. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { bootLines } from '../../../src/client/ctl/host/boot-lines'
import { asGrubReads } from '../../../src/client/ctl/host/grub'
import { HostFiles } from '../../../src/client/ctl/host/host-files'
import { preflight } from '../../../src/client/ctl/host/preflight'
import { propose } from '../../../src/client/ctl/host/proposal'
import { runNow } from '../../support/child'

const GiB = 2 ** 30
const stretch = { start: 4 * GiB, end: 68 * GiB, align: GiB, node: 0, left: 0, overhead: 0 }

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-boot-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function put(file: string, text: string | Buffer): void {
  mkdirSync(path.dirname(path.join(folder, file)), { recursive: true })
  writeFileSync(path.join(folder, file), text)
}

test('what is printed for GRUB arrives at the kernel as it was meant', () => {
  // Proves both rounds of unescaping: the first by the shell itself, as the program that makes GRUB's configuration
  // reads the file; the second as GRUB's script language reads the line that this program writes.
  const { grub, parameters } = propose(stretch, 'devdax', 'guests', '')
  put('membroker.cfg', `${grub}\n`)
  const script = `GRUB_CMDLINE_LINUX="quiet"; . "$1/membroker.cfg"; args="\${GRUB_CMDLINE_LINUX}"
cat <<EOF
	linux	/boot/vmlinuz-6.1 root=UUID=1 ro \${args}
EOF`
  const written = runNow('sh', ['-c', script, 'sh', folder])
  expect(written).toContain('memmap=64G\\$0x100000000')
  put('boot/grub/grub.cfg', `menuentry 'Linux' {\n${written}\tinitrd /boot/initrd\n}\n`)
  expect(bootLines(new HostFiles(folder))).toEqual([
    expect.objectContaining({
      file: '/boot/grub/grub.cfg',
      kind: 'grub',
      release: '6.1',
      commandLine: `root=UUID=1 ro quiet ${parameters.join(' ')}`,
    }),
  ])
})

const line = 'memmap=64G$0x100000000 memmap=64G%0x100000000-2+0xefffffff dax_hmem.region_idle=1'
const readByGrub = () =>
  bootLines(new HostFiles(folder)).map(({ kind, commandLine }) => `${kind}: ${commandLine}`)

test('an entry that GRUB reads keeps no $, with or without a backslash, and what is printed for it has none', () => {
  // Proves that broker-ctl reads the entries of Fedora and RHEL like GRUB's command blscfg, and repairs what that does to a $.
  put('boot/grub2/grub.cfg', 'insmod blscfg\nblscfg\n')
  const as = (options: string) => {
    put('boot/loader/entries/a.conf', `title Linux\nlinux /vmlinuz-6.12.0\noptions root=UUID=1 ${options}\n`)
    return readByGrub()[0]
  }
  expect(as(line)).toContain('root=UUID=1 memmap=64Gmemmap=64G%')
  expect(as(line.replace('$', '\\$'))).toContain('root=UUID=1 memmap=64Gmemmap=64G%')
  const { grubby, parameters } = propose(stretch, 'devdax', 'guests', '')
  const printed = /--args='(.*)'$/.exec(grubby)![1]!
  expect(as(printed)).toBe(`grubEntry: root=UUID=1 ${printed}`)
  expect(printed).not.toContain('$')
  expect(kept(printed)).toEqual([])
  expect(kept(parameters.join(' '))).toEqual([])
})

test('variables in entries are what grubenv and the configuration say, and are read once more', () => {
  // Proves that the entries of RHEL 8, which are all variables, are seen as the kernel gets them.
  put('boot/efi/EFI/redhat/grub.cfg', 'set kernelopts="root=UUID=2 ro"\nset tuned_params="quiet"\nblscfg\n')
  put('boot/loader/entries/a.conf', 'linux /vmlinuz-4.18.0\noptions $kernelopts $tuned_params $nothing\n')
  expect(readByGrub()).toEqual(['grubEntry: root=UUID=2 ro quiet '])
  put(
    'boot/efi/EFI/redhat/grubenv',
    `# GRUB Environment Block\nkernelopts=root=UUID=1 ro memmap=64G\\\\$0x100000000\ntuned_params=\n${'#'.repeat(99)}`,
  )
  expect(readByGrub()[0]).toBe('grubEntry: root=UUID=1 ro memmap=64G$0x100000000  ')
})

test('what is printed for reserved memory where GRUB reads entries arrives by a variable', () => {
  const { grubby, parameters } = propose(stretch, 'devmem', 'raw', '')
  const [, value, args] =
    /^grub2-editenv - set 'membroker=(.*)' && grubby --update-kernel=ALL --args='(.*)'$/.exec(grubby)!
  put('boot/grub2/grub.cfg', 'load_env\nblscfg\n')
  put('boot/grub2/grubenv', `membroker=${value!.replaceAll('\\', '\\\\')}\n`)
  put('boot/loader/entries/a.conf', `linux /vmlinuz\noptions ro ${args}\n`)
  expect(readByGrub()).toEqual([`grubEntry: ro ${parameters.join(' ')} `])
})

test('the same entries are plain where systemd-boot has started this kernel, or where it reads them', () => {
  put('boot/grub2/grub.cfg', 'blscfg\n')
  put('boot/loader/entries/a.conf', `options ${line}\n`)
  put('efi/loader/entries/b.conf', `options ${line}\n`)
  expect(readByGrub().map(text => text.split(':')[0])).toEqual(['grubEntry', 'entry'])
  put(
    'sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f',
    Buffer.concat([Buffer.from([6, 0, 0, 0]), Buffer.from('systemd-boot 254.1\0', 'utf16le')]),
  )
  expect(readByGrub()).toEqual([`entry: ${line}`, `entry: ${line}`])
})

/** A PE file with two sections, as ukify makes it. */
function unifiedImage(cmdline: string): Buffer {
  const image = Buffer.alloc(2048)
  image.write('MZ')
  image.writeUInt32LE(0x80, 0x3c)
  image.write('PE\0\0', 0x80, 'latin1')
  image.writeUInt16LE(2, 0x86)
  image.writeUInt16LE(0xf0, 0x94)
  const sections = [
    ['.osrel', 'ID=x', 1024],
    ['.cmdline', cmdline, 1536],
  ] as const
  for (const [index, [name, text, offset]] of sections.entries()) {
    const entry = 0x98 + 0xf0 + index * 40
    image.write(name, entry, 'latin1')
    image.writeUInt32LE(text.length, entry + 8)
    image.writeUInt32LE(512, entry + 16)
    image.writeUInt32LE(offset, entry + 20)
    image.write(text, offset)
  }
  return image
}

test('the line inside a unified kernel image is read, and the one for the next', () => {
  // Proves that a host without entries is looked at, and that an image which is none hurts nobody.
  put('boot/efi/EFI/Linux/6.12.0.efi', unifiedImage(`${line}\n`))
  put('boot/efi/EFI/Linux/broken.efi', 'MZ')
  put('etc/kernel/cmdline', 'root=UUID=1\nquiet\n')
  expect(readByGrub()).toEqual([`image: ${line}`, 'kernelCmdline: root=UUID=1 quiet'])
})

/** What preflight says of a range that lies where the stretch does. */
function kept(commandLine: string) {
  const range = {
    name: 'guests',
    source: 'devdax' as const,
    bytes: stretch.end - stretch.start,
    path: '',
    base: stretch.start,
    tableBytes: 4096,
  }
  const firmware = [{ start: 0x10_0000, end: 128 * GiB, type: 1 }]
  const build = { options: undefined, modules: undefined }
  return preflight([range], { commandLine, firmware, build, idleByModprobe: false })
}

// What GRUB 2.06 printed when it was given these.
test.each([
  ['memmap=64G\\$0x100000000', 'memmap=64G$0x100000000'],
  ["memmap='64G$0x100000000'", 'memmap=64G$0x100000000'],
  ['memmap=64G$0x100000000', 'memmap=64G'],
  ['memmap=64G\\\\$0x100000000', 'memmap=64G\\'],
  ['"memmap=64G\\$0x1" "memmap=64G$x4"', 'memmap=64G\\ memmap=64G'],
])('GRUB reads %s as %s', (written, read) => {
  // Proves that a forgotten backslash is seen as what it does.
  expect(asGrubReads(written)).toBe(read)
})

test('entries for rescue do not count, those of systemd-boot do', () => {
  // Proves that the doctor looks at what boots by itself.
  put('boot/grub/grub.cfg', ' linux /vmlinuz ro quiet\n linux /vmlinuz ro single\n linuxefi /vmlinuz a\n')
  put('boot/loader/entries/a.conf', 'title Debian\noptions root=1\noptions memmap=1G$4G\n')
  put('boot/loader/entries/readme.txt', 'options no\n')
  expect(bootLines(new HostFiles(folder)).map(({ commandLine }) => commandLine)).toEqual([
    'ro quiet',
    'a',
    'root=1 memmap=1G$4G',
  ])
})

test.each([
  ['devdax', '', ['memmap=64G$0x100000000', 'memmap=64G%0x100000000-2+0xefffffff', 'dax_hmem.region_idle=1']],
  ['devdax', 'dax_hmem.region_idle=1', ['memmap=64G$0x100000000', 'memmap=64G%0x100000000-2+0xefffffff']],
  ['devmem', '', ['memmap=64G$0x100000000']],
  ['devmem', 'memmap=1M$1M memmap=1M$3M memmap=1M$5M memmap=1M$7M', ['memmap=64G$0x100000000', 'nokaslr']],
] as const)('for %s behind "%s" just what is missing is proposed', (kind, before, parameters) => {
  // Proves that nothing is said twice, and that a fifth reservation comes with what makes it safe.
  expect(propose(stretch, kind, 'guests', before).parameters).toEqual(parameters)
})

test('where a line ends for the kernel before its end, the proposal says so', () => {
  const notesFor = (before: string) => propose(stretch, 'devdax', 'guests', before).notes
  expect(notesFor('ro quiet -- splash')).toEqual([
    expect.stringContaining('Put the new parameters before it'),
  ])
  expect(notesFor('ro --quiet')).toEqual([])
})
