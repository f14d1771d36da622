// Jest's globalSetup and globalTeardown: huge pages for the suites that need them, given back at the end. Where the
// machine gives none, those suites say so. A run that is killed leaves them raised; the next one finds enough.
const { existsSync, readFileSync, writeFileSync } = require('node:fs')

const setting = '/proc/sys/vm/nr_hugepages'
const compaction = '/proc/sys/vm/compact_memory'
const wanted = 96
const read = () => Number(readFileSync(setting, 'latin1'))

module.exports = () => {
  if (process.getuid() !== 0) return
  const free = Number(/^HugePages_Free:\s+(\d+)$/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1])
  if (free >= wanted) return
  try {
    const before = read()
    // Memory in use for long is in small pieces until it is asked to be put together.
    if (existsSync(compaction)) writeFileSync(compaction, '1')
    writeFileSync(setting, String(before + wanted - free))
    const raised = read()
    globalThis.giveBackHugePages = () => {
      if (read() === raised) writeFileSync(setting, String(before))
    }
  } catch (error) {
    process.stderr.write(`\nno huge pages: ${error.message}\n\n`)
  }
}
