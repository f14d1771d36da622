import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Scene } from './scene'

/** A scene with the ranges "first", of 256 MiB, and "second", of 1 GiB, in folders. */
export class TwoRanges {
  private constructor(
    private readonly folder: string,
    readonly scene: Scene,
  ) {}

  static async open(): Promise<TwoRanges> {
    const folder = mkdtempSync('/dev/shm/membroker-vm-')
    const range = (name: string, bytes: string) => {
      mkdirSync(path.join(folder, name))
      return `[[range]]\nname = "${name}"\nsource = "directory"\npath = "${path.join(folder, name)}"\nbytes = "${bytes}"\n`
    }
    const config = range('first', '256MiB') + range('second', '1GiB')
    return new TwoRanges(folder, await Scene.open({ directory: path.join(folder, 'first'), config }))
  }

  /** A device that comes late: the broker starts without it. Returns how it comes. */
  async takeAway(range: 'first' | 'second'): Promise<() => Promise<void>> {
    const { broker } = this.scene
    const place = path.join(this.folder, range)
    await broker.kill()
    renameSync(place, `${place}.away`)
    writeFileSync(place, '')
    await broker.start()
    return async () => {
      await broker.kill()
      rmSync(place)
      renameSync(`${place}.away`, place)
      await broker.start()
    }
  }

  async dispose(): Promise<void> {
    await this.scene.dispose()
    rmSync(this.folder, { recursive: true })
  }
}
