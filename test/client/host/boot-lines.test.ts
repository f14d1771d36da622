import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { asGrubReads, bootLines } from '../../../src/client/ctl/host/boot-lines'
import { HostFiles } from '../../../src/client/ctl/host/host-files'
import { propose } from '../../../src/client/ctl/host/proposal'

const GiB = 2 ** 30
const stretch = { start: 4 * GiB, end: 68 * GiB, align: GiB, node: 0, left: 0, overhead: 0 }

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-boot-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function put(file: string, text: string): void {
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
  const written = execFileSync('sh', ['-c', script, 'sh', folder], { encoding: 'utf8' })
  expect(written).toContain('memmap=64G\\$0x100000000')
  put('boot/grub/grub.cfg', `menuentry 'Linux' {\n${written}\tinitrd /boot/initrd\n}\n`)
  expect(bootLines(new HostFiles(folder))).toEqual([
    { file: '/boot/grub/grub.cfg', commandLine: `root=UUID=1 ro quiet ${parameters.join(' ')}` },
  ])
})

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
  expect(notesFor('ro quiet -- splash')).toEqual([expect.stringContaining('must come before it')])
  expect(notesFor('ro --quiet')).toEqual([])
})
