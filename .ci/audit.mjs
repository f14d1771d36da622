// Asks the registry for known advisories about the dependencies that are shipped. Fails on a high or critical one; says so,
// and does not fail, where the registry answers nothing, as mirrors often do.
//   node .ci/audit.mjs [SECONDS]   how long it may take, 60 by default
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const cwd = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')
const seconds = Number(process.argv[2] ?? 60)
const { stdout, stderr, error } = spawnSync(
  'npm',
  ['audit', '--omit=dev', '--json', '--package-lock-only', '--fetch-retries=0'],
  {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    timeout: seconds * 1000,
    killSignal: 'SIGKILL',
  },
)

function report() {
  try {
    return JSON.parse(stdout)
  } catch {
    return {}
  }
}

const { metadata, vulnerabilities = {}, message } = report()
if (metadata === undefined) {
  const late = error?.code === 'ETIMEDOUT' ? `nothing within ${seconds} s` : undefined
  const reason = late ?? message ?? error?.message ?? stderr.trim().split('\n').at(-1)
  console.error(`ci: dependencies were NOT checked: the registry gave no advisories (${reason})`)
} else {
  const known = Object.values(vulnerabilities)
  const grave = known.filter(({ severity }) => severity === 'high' || severity === 'critical')
  for (const { name, severity, range, via } of known)
    console.error(
      `ci: ${severity}: ${name} ${range || '*'}: ${via.map(cause => cause.title ?? cause).join('; ')}`,
    )
  console.error(
    `ci: dependencies were checked: ${known.length} with advisories, ${grave.length} of them high or critical`,
  )
  if (grave.length > 0) process.exitCode = 1
}
