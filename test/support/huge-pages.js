// Jest's globalSetup and globalTeardown: huge pages for the suites that need them, given back at the end.
const { readFileSync, writeFileSync } = require('node:fs')

const setting = '/proc/sys/vm/nr_hugepages'
const wanted = 96

// Without root nothing is raised, and the tests that need huge pages say that they are left out.
module.exports = () => {
  if (process.getuid() !== 0) return
  const before = readFileSync(setting, 'latin1').trim()
  const free = Number(/HugePages_Free:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'latin1'))[1])
  if (free >= wanted) return
  const raised = String(Number(before) + wanted - free)
  writeFileSync(setting, raised)
  globalThis.giveBackHugePages = () => {
    if (readFileSync(setting, 'latin1').trim() === raised) writeFileSync(setting, before)
  }
}
