import { accessSync, existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { until } from '../support/until'
import { counterFirmware } from './counter-guest'
import { GuestProcess, type GuestProcessOptions } from './guest-process'
import { Qmp } from './qmp'

/** The descriptor QEMU's RAM comes in. */
export const qemuRamFd = 9

export interface QemuOptions extends Omit<GuestProcessOptions, 'fds'> {
  /** requireQemu(). */
  program: string
  /** A folder of this machine's own, for its firmware and its monitor's socket; a short path, as sockets want. */
  folder: string
  ramBytes: number
  /** The descriptor QEMU gets as qemuRamFd; stays the caller's. Left out where the launcher provides it. */
  fd?: number
  /** Default: tcg, which needs nothing of this machine. */
  accelerator?: 'tcg' | 'kvm'
  /** A command that runs the rest of its arguments, with RAM in qemuRamFd: broker-ctl exec --map NAME:fd=9 -- */
  launcher?: readonly string[]
}

/** Bounds on hanging: whole machines that are emulated on a busy one are dozens of times slower than this one is. */
const startMsMax = 300_000
const migrateMsMax = 300_000

/**
 * A PC emulated by QEMU whose RAM is an inherited descriptor, running the counter guest. Its device state can be
 * saved and resumed by another QEMU while the RAM stays where it is.
 */
export class Qemu {
  private constructor(
    /** Its lines are the guest's serial port. */
    readonly process: GuestProcess,
    readonly monitor: Qmp,
  ) {}

  /** Start the guest from the beginning. */
  static async boot(options: QemuOptions): Promise<Qemu> {
    return Qemu.start(options, [])
  }

  /** Go on with a guest that save() has written to file, on the RAM as it is now. Returns a machine that is still stopped. */
  static async load(options: QemuOptions, file: string): Promise<Qemu> {
    accessSync(file) // QEMU would wait for ever for what a failed cat does not send
    return Qemu.loadFrom(options, `cat < ${shellQuote(file)}`)
  }

  /** load(), with the device state that a shell command prints. The command is QEMU's child. */
  static async loadFrom(options: QemuOptions, command: string): Promise<Qemu> {
    const qemu = await Qemu.start(options, ['-incoming', 'defer'])
    try {
      await qemu.ignoreSharedMemory()
      await qemu.monitor.execute('migrate-incoming', { uri: `exec:${command}` })
      await qemu.migrated()
      return qemu
    } catch (error) {
      await qemu.kill()
      throw new Error(`the device state does not load: ${qemu.process.complaints}`, { cause: error })
    }
  }

  /** Stop the guest and write its device state, without its RAM, to a file that appears when it is complete. */
  async save(file: string): Promise<void> {
    // QEMU calls it complete when the last byte is in the pipe, not when it is in the file.
    const part = `${file}.part`
    await this.saveTo(`cat > ${shellQuote(part)} && mv ${shellQuote(part)} ${shellQuote(file)}`)
    await until(() => existsSync(file), file, migrateMsMax)
  }

  /**
   * Stop the guest and give its device state, without its RAM, to a shell command, QEMU's child. Does not wait for the
   * command: it has all of it when it sees the end of its input.
   */
  async saveTo(command: string): Promise<void> {
    await this.stop()
    await this.ignoreSharedMemory()
    await this.monitor.execute('migrate', { uri: `exec:${command}` })
    await this.migrated()
  }

  async stop(): Promise<void> {
    await this.monitor.execute('stop')
  }

  async cont(): Promise<void> {
    await this.monitor.execute('cont')
  }

  /** SIGKILL. Idempotent. */
  async kill(): Promise<void> {
    this.monitor.close()
    await this.process.kill()
  }

  private static async start(options: QemuOptions, more: readonly string[]): Promise<Qemu> {
    const { program, folder, ramBytes, fd, accelerator = 'tcg', launcher = [], ...processOptions } = options
    const firmware = path.join(folder, 'firmware')
    const socket = path.join(folder, 'monitor')
    writeFileSync(firmware, counterFirmware())
    const command = [...launcher, program, ...qemuArguments(accelerator, ramBytes, firmware, socket), ...more]
    const fds = new Map(fd === undefined ? [] : [[qemuRamFd, fd]])
    const process = new GuestProcess(command, { ...processOptions, fds })

    const over = new AbortController()
    const timer = setTimeout(() => over.abort(new Error('its monitor does not open')), startMsMax)
    process.exited.then(() => over.abort(new Error('it ended')))
    try {
      return new Qemu(process, await Qmp.connect(socket, over.signal))
    } catch (error) {
      await process.kill()
      throw new Error(`QEMU does not start: ${(error as Error).message} ${process.complaints}`, {
        cause: error,
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /** RAM is a shared mapping of memory that stays: leave it out of what is saved, and untouched by what is loaded. */
  private async ignoreSharedMemory(): Promise<void> {
    const capabilities = [{ capability: 'x-ignore-shared', state: true }]
    await this.monitor.execute('migrate-set-capabilities', { capabilities })
  }

  private async migrated(): Promise<void> {
    await until(
      async () => {
        const info = (await this.monitor.execute('query-migrate')) as {
          status?: string
          'error-desc'?: string
        }
        if (info.status === 'failed')
          throw new Error(`migration failed: ${info['error-desc'] ?? 'no reason given'}`)
        return info.status === 'completed'
      },
      'the end of the migration',
      migrateMsMax,
    )
  }
}

function qemuArguments(accelerator: string, ramBytes: number, firmware: string, socket: string): string[] {
  // align: what a device-DAX instance of 2 MiB pages needs; harmless elsewhere.
  const memory = `memory-backend-file,id=ram,size=${ramBytes},mem-path=/proc/self/fd/${qemuRamFd},share=on,align=2M`
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-accel', accelerator],
    // Without a BIOS nobody routes the timer through the APIC; without an APIC it needs no routing.
    ...['-cpu', 'qemu64,apic=off'],
    ...['-object', memory, '-machine', 'pc,memory-backend=ram', '-m', `${ramBytes}b`],
    ...['-bios', firmware, '-serial', 'stdio', '-qmp', `unix:${socket},server=on,wait=off`],
  ]
}

function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
