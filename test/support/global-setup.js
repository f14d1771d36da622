// Jest's globalSetup: what the suites expect of the machine; what it returns or sets is undone in global-teardown.js.
const { mkdtempSync, existsSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const path = require('node:path')

const setting = '/proc/sys/vm/nr_hugepages'
const wanted = 96

module.exports = () => {
  globalThis.undoGlobalSetup = [runtimeFolder(), hugePages()]
}

/** Users in containers often have none. */
function runtimeFolder() {
  const uid = process.getuid()
  if (uid === 0 || process.env.XDG_RUNTIME_DIR || existsSync(`/run/user/${uid}`)) return () => {}
  const folder = mkdtempSync(path.join(tmpdir(), 'membroker-runtime-'))
  process.env.XDG_RUNTIME_DIR = folder
  return () => rmSync(folder, { recursive: true, force: true })
}

/** Without root none are added, and the tests that need huge pages say that they are left out. */
function hugePages() {
  if (process.getuid() !== 0) return () => {}
  const before = readFileSync(setting, 'latin1').trim()
  const free = Number(/HugePages_Free:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'latin1'))[1])
  if (free >= wanted) return () => {}
  const raised = String(Number(before) + wanted - free)
  writeFileSync(setting, raised)
  return () => {
    if (readFileSync(setting, 'latin1').trim() === raised) writeFileSync(setting, before)
  }
}
