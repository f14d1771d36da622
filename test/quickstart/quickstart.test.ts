/** Proves that the quick start a stranger runs first goes through, and says so. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { kvmWorks } from '../guest/build'
import { attempt } from '../support/child'
import { packageRoot } from '../support/package-root'

test('it proves the main job and cleans up', async () => {
  const main = path.join(packageRoot, 'dist/test/quickstart/main.js')
  const { status, stdout, stderr } = await attempt(process.execPath, [main])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toContain('none changed')
  expect(stdout).toContain('proved: memory in use does not need the broker')
  if (kvmWorks()) expect(stdout).toContain('the very value it was killed at')
  else expect(stdout).toContain('There is no usable /dev/kvm here')
  const folder = /kept in (\S+)/.exec(stdout)?.[1]
  if (folder) expect(existsSync(folder)).toBe(false)
})
