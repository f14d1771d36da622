/** Proves that the guides are true: what they show is run, what they name is there, and every error has an entry. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { brokerErrorNames } from '../../protocol/generated/broker'
import { buildProgram } from '../../src/client/ctl/program'
import { findProgram, requireQemu } from '../guest/require-qemu'
import { attempt, attemptNow } from '../support/child'
import { packageRoot } from '../support/package-root'
import { isPackaged, packagedProgram } from '../support/packaged-program'
import { TestBroker } from '../support/test-broker'
import { blocksOf, commandsOf, guideFolder, guideNames, readGuide } from './guide'

const guides = guideNames()
/** Verbs of broker-ctl that have verbs. */
const nouns = new Set(
  buildProgram()
    .commands.filter(({ commands }) => commands.length > 0)
    .map(command => command.name()),
)
let folder: string
let environment: NodeJS.ProcessEnv

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'membroker-guides-'))
  // As `npm install -g .` does it.
  const bin = path.join(folder, 'bin')
  mkdirSync(bin)
  const { bin: programs } = JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8'))
  for (const [name, file] of Object.entries<string>(programs))
    symlinkSync(path.join(packageRoot, file), path.join(bin, name))
  // What a guide refers to from the project's folder, in a folder where it may leave something.
  for (const name of ['docs', 'deploy', 'dist', 'native'])
    symlinkSync(path.join(packageRoot, name), path.join(folder, name))
  environment = { ...process.env, PATH: `${bin}:${process.env.PATH}` }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** QEMU is installed where that can be; what else a block needs is packaged, or part of the project's own set-up. */
async function isThere(program: string): Promise<boolean> {
  if (program === 'qemu-system-x86_64') return requireQemu() !== undefined
  if (!isPackaged(program)) return findProgram(program) !== undefined
  return (await packagedProgram(program, path.join(folder, 'bin'))) !== undefined
}
async function areThere(programs: readonly string[]): Promise<boolean> {
  for (const program of programs) if (!(await isThere(program))) return false
  return true
}
const running = guides.filter(name => blocksOf(readGuide(name)).some(({ run }) => run))

test('there are commands to run', () => {
  expect(running.length).toBeGreaterThan(3)
})

test.each(running)(
  'the commands of %s do what they say',
  async name => {
    const broker = await TestBroker.start()
    try {
      const blocks = blocksOf(readGuide(name)).filter(({ run }) => run)
      const script: string[] = []
      for (const { text, needs } of blocks)
        if (await areThere(needs)) script.push(text)
        else process.stderr.write(`\nLEFT OUT of ${name}: a block that needs ${needs.join(' and ')}.\n\n`)
      const { status, stdout, stderr } = await attempt(
        'bash',
        ['-euxo', 'pipefail', '-c', script.join('\n')],
        {
          cwd: folder,
          env: { ...environment, MEMBROKER_SOCKET: broker.socket },
        },
      )
      if (status !== 0) throw new Error(`${name} ends with ${status}:\n${stdout}\n${stderr}`)
      for (const expected of shown[name] ?? []) expect(stdout).toMatch(expected)
    } finally {
      await broker.dispose()
    }
  },
  300_000,
)

/** What the guides say that the reader sees. */
const shown: Record<string, RegExp[]> = {
  'host.md': [/memmap=16G\$0x\w+/, /67108864\nvm-1\/ram=9/],
  'qemu.md': [/VM status: paused/, /share=off: -{14}\nshare=on: guest was here/, /also open by +process \d+/],
  'vm.md': [/vm-5 +running[\s\S]*vm-5 is saved[\s\S]*vm-5 +saved[\s\S]*vm-5 +running[\s\S]*vm-5 is stopped/],
  'vmm-typescript.md': [/started\nstopped at 20\ngoing on at 20\nstopped at 40/, /vm-demo\/firmware/],
  'vmm-c.md': [/run 1\nrun 2[\s\S]*example\/counter[\s\S]*example\/rust: released/],
  'vmm-python.md': [/run 1\nrun 2/],
  'database.md': [/20000 keys, .* none of them lost/, /first True second b'shared'/],
  'programs.md': [/^kept/m, /Entries: 100000/],
  'live-update.md': [/kexec into the next kernel/, /sameBoot|fresh/],
}

test.each(guides)(
  'every verb and option of broker-ctl and membrokerd in %s is one',
  name => {
    const known = new Map<string, string>()
    const help = (...args: string[]) => {
      const key = args.join(' ')
      if (!known.has(key)) {
        const { stdout, stderr, status } = attemptNow(args[0]!, [...args.slice(1), '--help'], {
          env: environment,
        })
        if (status !== 0) throw new Error(`${key} --help: ${stderr}`)
        known.set(key, stdout)
      }
      return known.get(key)!
    }
    const commands = blocksOf(readGuide(name))
      .filter(({ language }) => language === 'sh')
      .flatMap(({ text }) => commandsOf(text))
    const inline = [...readGuide(name).matchAll(/`((?:broker-ctl|membrokerd) [^`]+)`/g)].map(
      ([, text]) => text!,
    )
    for (const command of [...commands, ...inline])
      for (const part of command.split(/\s*(?:&&|\|)\s*/)) {
        const words = part.split(/\s+/)
        const at = words.findIndex(word => word === 'broker-ctl' || word === 'membrokerd')
        if (at < 0) continue
        const end = words.indexOf('--')
        const own = words.slice(at, end < 0 ? undefined : end)
        const [program, ...rest] = own as [string, ...string[]]
        const isWord = (word: string | undefined) => word !== undefined && /^[a-z][a-z-]*$/.test(word)
        const hasVerb = program === 'broker-ctl' && isWord(rest[0])
        const length = nouns.has(rest[0]!) && isWord(rest[1]) ? 2 : 1
        const verb = hasVerb ? rest.slice(0, length) : []
        const text = help(program, ...verb)
        if (hasVerb) expect(text).toContain(`Usage: broker-ctl ${verb.join(' ')}`)
        for (const option of own.filter(word => /^--[a-z]/.test(word)))
          expect(text).toContain(option.split('=')[0])
      }
  },
  300_000,
)

test.each(guides)('every link and file of %s leads somewhere', name => {
  const guide = readGuide(name)
  for (const [, target] of guide.matchAll(/\]\(([^)]+)\)/g)) {
    if (/^https?:/.test(target!)) continue
    const [file, heading] = target!.split('#') as [string, string?]
    const at = file === '' ? path.join(guideFolder, name) : path.join(guideFolder, file)
    expect([target, existsSync(at)]).toEqual([target, true])
    if (heading !== undefined) expect([target, headingsOf(at).includes(heading)]).toEqual([target, true])
  }
  for (const [, file] of guide.matchAll(/`(test\/[\w./-]+\.ts)`/g))
    expect([file, existsSync(path.join(packageRoot, file!))]).toEqual([file, true])
})

test('each row of the table of programs names a test', () => {
  const table = /^## Which program[^\n]*\n\n([\s\S]*?)\n\n/m.exec(readGuide('programs.md'))![1]!
  const [head, , ...rows] = table.split('\n')
  expect(head).toMatch(/\| shown by \|$/)
  expect(rows.length).toBeGreaterThan(5)
  for (const row of rows) expect(row).toMatch(/ `test\/[\w./-]+\.ts` \|$/)
})

test('each command for a program is run, here or by the test that it names, which reads it from the guide', () => {
  const commands = blocksOf(readGuide('programs.md')).filter(({ language }) => language === 'sh')
  expect(commands.length).toBeGreaterThan(4)
  for (const { run, by, text } of commands) {
    expect([text, run || by !== undefined]).toEqual([text, true])
    if (by !== undefined)
      expect(readFileSync(path.join(packageRoot, by), 'utf8')).toContain("readGuide('programs.md')")
  }
})

/** As they are linked to. */
function headingsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

test('the index names every guide', () => {
  const index = readGuide('README.md')
  for (const name of guides.filter(name => name !== 'README.md')) expect(index).toContain(`(${name})`)
})

test('the pieces of the VMM in TypeScript are from the program, as they stand there', () => {
  const program = readFileSync(path.join(guideFolder, 'example/vmm/vmm.ts'), 'utf8')
  const pieces = blocksOf(readGuide('vmm-typescript.md')).filter(({ language }) => language === 'ts')
  expect(pieces.length).toBeGreaterThan(2)
  for (const { text } of pieces) expect(program).toContain(text)
})

describe('troubleshooting', () => {
  const text = readGuide('troubleshooting.md')
  const source = (file: string) => readFileSync(path.join(packageRoot, file), 'utf8')

  test('every error that a client can see has an entry with its meaning, what to check and what to do', () => {
    const entries = new Map(
      [...text.matchAll(/^### (\w+)\n([\s\S]*?)(?=^##)/gm)].map(([, name, entry]) => [name!, entry!]),
    )
    const contract = brokerErrorNames.map(name => name.split('.').at(-1)!)
    const union = /LocalErrorCode =([\s\S]*?)\n\n/.exec(source('src/client/errors.ts'))![1]!
    const local = [...union.matchAll(/'(\w+)'/g)].map(([, name]) => name!)
    const varlink = [...source('protocol/org.varlink.service.varlink').matchAll(/^error (\w+)/gm)].map(
      ([, name]) => name!,
    )
    expect(local.length).toBeGreaterThan(5)
    expect(varlink.length).toBeGreaterThan(3)
    const missing = [...contract, ...local, ...varlink].filter(name => {
      const entry = entries.get(name) ?? ''
      return !/^\n\S/.test(entry) || !/^- Check: ./m.test(entry) || !/^- Do: ./m.test(entry)
    })
    // The broker has all methods of its interface.
    expect(missing.filter(name => name !== 'MethodNotImplemented')).toEqual([])
  })

  test('every code of broker-ctl is explained, here or in the guide of its verb', () => {
    const folder = path.join(packageRoot, 'src/client/ctl')
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(file =>
      file.endsWith('.ts'),
    )
    const codes = files.flatMap(file =>
      [...source(`src/client/ctl/${file}`).matchAll(/\b(?:Failure|super)\(\s*'([A-Z]\w+)'/g)].map(
        ([, code]) => code!,
      ),
    )
    expect(codes.length).toBeGreaterThan(30)
    const explained = ['troubleshooting.md', 'live-update.md', 'vm.md', 'libvirt.md'].map(readGuide).join('')
    expect(
      codes.filter(code => !new RegExp(`^\\| [^|]*\`${code}\`|^### ${code}$`, 'm').test(explained)),
    ).toEqual([])
  })

  test('every sentence with which the daemon refuses to start is there', () => {
    const files = ['main.ts', 'config/config.ts', 'session/server.ts', 'service/inherited.ts']
    const sentences = files.flatMap(file =>
      [
        ...source(`src/broker/${file}`).matchAll(
          /new (?:ConfigError|SocketInUse|InheritedError)\(\s*(['`])([\s\S]*?)\1,?\s*\)/g,
        ),
      ].map(([, , sentence]) => sentence!),
    )
    expect(sentences.length).toBeGreaterThan(10)
    const longest = (sentence: string) =>
      sentence
        .split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/)
        .map(piece => piece.replaceAll(/^[\s',(]+|[\s',(]+$/g, ''))
        .reduce((a, b) => (b.length > a.length ? b : a))
    const said = sentences.map(longest).filter(piece => piece.length > 8)
    expect(said.filter(piece => !text.includes(piece))).toEqual([])
  })
})
