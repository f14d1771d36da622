/** Proves that the doctor sees why the service can't start a program that the operator's shell does start. */
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { serviceFiles } from '../../../src/client/ctl/host/check/service-files'
import { packageRoot } from '../../support/package-root'
import { Tree } from './tree'

let tree: Tree
beforeEach(() => {
  tree = new Tree()
  tree.put(
    'etc/systemd/system/membroker.service',
    readFileSync(path.join(packageRoot, 'deploy/membroker.service')),
  )
})
afterEach(() => tree.remove())

const diagnosis = () => tree.diagnose([], { host: [serviceFiles] })[0]!

/** As npm puts a program there: a link on the path to a file of the package, which is in a folder. */
function install(name: string, file: string, text: string): void {
  tree.put(file, text)
  mkdirSync(path.join(tree.root, 'usr/local/bin'), { recursive: true })
  symlinkSync(path.join('../../..', file), path.join(tree.root, 'usr/local/bin', name))
}
const main = '#!/usr/bin/env node\n'

test.each([
  [
    'the package',
    'usr/local/lib/node_modules/membroker/dist/main.js',
    'opt/node/bin/node',
    'good',
    /starts \/usr\/local/,
  ],
  [
    'a folder of root',
    'root/membroker/dist/main.js',
    'opt/node/bin/node',
    'bad',
    /can't start \/root.*ProtectHome/,
  ],
  [
    'a folder of a user',
    'home/ada/membroker/main.js',
    'opt/node/bin/node',
    'bad',
    /can't start \/home.*ProtectHome/,
  ],
  ['a folder that is temporary', 'tmp/membroker/main.js', 'opt/node/bin/node', 'bad', /\/tmp.*PrivateTmp/],
  [
    "a user's Node.js",
    'opt/membroker/main.js',
    'root/.nvm/bin/node',
    'bad',
    /can't start \/root\/\.nvm.*ProtectHome/,
  ],
])('installed from %s', (_, file, node, result, finding) => {
  install('membrokerd', file, main)
  install('node', node, '')
  expect(diagnosis()).toMatchObject({ id: 'serviceFiles', result, finding: expect.stringMatching(finding) })
})

test('a program, or its interpreter, that only the shell finds', () => {
  expect(diagnosis()).toMatchObject({
    result: 'bad',
    finding: expect.stringContaining('finds no membrokerd in /usr'),
  })
  expect(diagnosis().repair).toContain('npm install -g --prefix /usr/local')
  install('membrokerd', 'opt/membroker/main.js', main)
  expect(diagnosis()).toMatchObject({ result: 'bad', finding: expect.stringContaining('finds no node in') })
  expect(diagnosis().repair).toContain('Node.js')
})

test('a drop-in that lets it see the folder, or names another program, is believed', () => {
  install('membrokerd', 'root/membroker/main.js', main)
  install('node', 'opt/node/bin/node', '')
  tree.put('etc/systemd/system/membroker.service.d/home.conf', '[Service]\nProtectHome=no')
  expect(diagnosis().result).toBe('good')
  tree.put(
    'etc/systemd/system/membroker.service.d/other.conf',
    '[Service]\nProtectHome=tmpfs\nExecStart=\nExecStart=/opt/m/main.js --config /etc/x',
  )
  tree.put('opt/m/main.js', main)
  expect(diagnosis()).toMatchObject({ result: 'good', finding: expect.stringContaining('/opt/m/main.js') })
})

test('without the unit there is nothing to look at', () => {
  tree.remove('etc/systemd')
  expect(diagnosis().result).toBe('notApplicable')
})
