// Runs all tests.
//
//   node test/everything.mjs [jest arguments: runs what they say instead]
//
// Two suites run by themselves, one after the other: one judges times, one freezes a filesystem, for which every sync of the machine
// waits. They are the first: the lines that close the run are those of all others. These wait more than they compute, so there is one
// process more than there are processors.
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
const byThemselves = ['test/integration/availability', 'test/vm/power-cut']

/** Returns whether all of them passed. */
function jest(...args) {
  const program = path.join(root, 'node_modules/jest/bin/jest.js')
  return spawnSync(process.execPath, [program, ...args], { cwd: root, stdio: 'inherit' }).status === 0
}

const args = process.argv.slice(2)
const passed =
  args.length > 0
    ? [jest(...args)]
    : [
        jest(...byThemselves, '--runInBand'),
        jest(
          `--testPathIgnorePatterns=${byThemselves.join('|')}`,
          `--maxWorkers=${availableParallelism() + 1}`,
        ),
      ]
process.exitCode = passed.every(Boolean) ? 0 : 1
