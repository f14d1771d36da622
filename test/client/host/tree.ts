import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Diagnosis, RangeCheck, RunningBroker } from '../../../src/client/ctl/host/check'
import { diagnose, type HostCheck } from '../../../src/client/ctl/host/check'
import type { ConfiguredRange } from '../../../src/client/ctl/host/configured-range'
import { HostFiles } from '../../../src/client/ctl/host/host-files'

/** A tree like a host's root. */
export class Tree {
  readonly root = mkdtempSync(path.join(tmpdir(), 'membroker-host-'))

  get files(): HostFiles {
    return new HostFiles(this.root)
  }

  put(file: string, text: string | Buffer): void {
    mkdirSync(path.dirname(path.join(this.root, file)), { recursive: true })
    writeFileSync(path.join(this.root, file), typeof text === 'string' ? `${text}\n` : text)
  }

  folder(name: string): void {
    mkdirSync(path.join(this.root, name), { recursive: true })
  }

  remove(name = ''): void {
    rmSync(path.join(this.root, name), { recursive: true, force: true })
  }

  diagnose(
    ranges: ConfiguredRange[],
    checks: { host?: readonly HostCheck[]; range?: readonly RangeCheck[] },
    broker?: RunningBroker,
    isRoot = true,
  ): Diagnosis[] {
    const configuration = { socket: '/run/x', ranges }
    return diagnose(checks.host ?? [], checks.range ?? [], {
      files: this.files,
      isRoot,
      configuration,
      broker,
    })
  }
}
