// Jest's globalSetup: what the suites expect of the machine; what it returns or sets is undone in global-teardown.js.
const { mkdtempSync, existsSync, readFileSync, rmSync, writeFileSync } = require('node:fs')
const { tmpdir } = require('node:os')
const path = require('node:path')

const setting = '/proc/sys/vm/nr_hugepages'
const compaction = '/proc/sys/vm/compact_memory'
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

/** Where the machine gives none, the suites that need them say so. A killed run leaves them; the next finds enough. */
function hugePages() {
  if (process.getuid() !== 0) return () => {}
  const free = Number(/^HugePages_Free:\s+(\d+)$/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1])
  if (free >= wanted) return () => {}
  const read = () => Number(readFileSync(setting, 'latin1'))
  try {
    const before = read()
    // Memory in use for long is in small pieces until it is asked to be put together.
    if (existsSync(compaction)) writeFileSync(compaction, '1')
    writeFileSync(setting, String(before + wanted - free))
    const raised = read()
    return () => {
      if (read() === raised) writeFileSync(setting, String(before))
    }
  } catch (error) {
    process.stderr.write(`\nno huge pages: ${error.message}\n\n`)
    return () => {}
  }
}
