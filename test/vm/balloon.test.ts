/**
 * Proves that pages which a Linux guest frees go back to the host, from tmpfs and from memfds: QEMU discards them by its own
 * descriptor, the broker shows fewer resident bytes than of a guest that reports none, and the allocation stays charged with its
 * whole size.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { MiB } from '../../protocol/units'
import { guestFilesHere } from '../guest/linux/files'
import { makeDisk, vmFile } from '../guest/linux/machine'
import { withQemu } from '../guest/require-qemu'
import { until } from '../support/test-broker'
import { Scene } from './scene'

const ramBytes = 192 * MiB
/** The guest writes and frees so much when it boots. */
const touchedBytes = 48 * MiB

withQemu(qemu => {
  test.each(['directory', 'memfd'] as const)('pages that a guest frees go back from a %s', async source => {
    const files = await guestFilesHere()
    if (files === undefined) return
    const scene = await Scene.open({ main: { source, bytes: '512MiB' } })
    const client = scene.broker.client()
    const residentBytes = async (name: string) =>
      (await client.call('GetAllocation', { name: `${name}/ram` })).residentBytes!
    const boot = async (name: string, balloon?: true) => {
      const disk = path.join(scene.folder, `${name}.disk`)
      await makeDisk(disk)
      const parameters = [`guest.touch_mib=${touchedBytes / MiB}`]
      const guest = { files, disk, accelerator: 'tcg', parameters, ...(balloon && { balloon }) } as const
      writeFileSync(path.join(scene.directory, `${name}.toml`), vmFile(guest, { qemu, ramBytes }))
      const run = scene.run(name)
      await run.guestSays(/ready boot 1/)
      return run
    }
    try {
      await boot('keeping')
      const keptBytes = await residentBytes('keeping')
      expect(keptBytes).toBeGreaterThan(touchedBytes)
      const run = await boot('reporting', true)
      await until(
        async () => (await residentBytes('reporting')) <= keptBytes - touchedBytes / 2,
        `the host gets pages of the guest back, of the ${keptBytes} bytes that another keeps`,
      )
      expect((await client.call('ListRanges', {})).ranges[0]!.allocatedBytes).toBeGreaterThanOrEqual(
        2 * ramBytes,
      )
      expect(await scene.stop('reporting', '--powerdown')).toMatchObject({ code: 0 })
      expect(run.stdout).toContain('guest: off')
    } finally {
      client.close()
      await scene.dispose()
    }
  })
})
