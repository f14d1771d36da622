import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { attempt, run } from '../../support/child'
import { emulatedKernel } from '../emulated-kernel'
import { findProgram, installPackage } from '../require-qemu'
import { type DiskRecord, readRecords } from './blocks'
import type { GuestFiles } from './files'

const diskBytes = 32 * 2 ** 20

export interface LinuxGuest {
  readonly files: GuestFiles
  /** A file system that makeDisk() made. */
  readonly disk: string
  /**
   * Its tap in the host's bridge, and its address there. fd: where QEMU inherits the tap from broker-ctl; left out: QEMU opens
   * the tap by its name. Without it all, the guest has no network.
   */
  readonly network?: { readonly tap: string; readonly address: string; readonly fd?: number }
  readonly accelerator: 'tcg' | 'kvm'
  /** It reports free pages, and QEMU gives them back to the host. */
  readonly balloon?: true
  /** Where the guest agent's port is found on the host: a socket. */
  readonly agent?: string
  /** More of the kernel's command line; guest.c lists what it knows. */
  readonly parameters?: readonly string[]
}

/** The VM's file (TOML). */
export function vmFile(guest: LinuxGuest, { qemu, ramBytes }: { qemu?: string; ramBytes: number }): string {
  const { tap, fd } = guest.network ?? {}
  return [
    '[vm]',
    ...(qemu === undefined ? [] : [`qemu = ${JSON.stringify(qemu)}`]),
    `arguments = ${JSON.stringify(linuxArguments(guest))}`,
    `[[memory]]\nbytes = ${ramBytes}`,
    ...(fd === undefined ? [] : [`[[tap]]\nname = "${tap}"\nfd = ${fd}`]),
    '',
  ].join('\n')
}

/** QEMU's arguments, but for memory and monitor. */
export function linuxArguments(guest: LinuxGuest): string[] {
  const { files, disk, network, accelerator, balloon, agent, parameters = [] } = guest
  const quoted = disk.replaceAll(',', ',,')
  const address = network === undefined ? [] : [`guest.address=${network.address}`]
  const patience = accelerator === 'tcg' ? emulatedKernel : ['no_timer_check']
  const line = ['console=ttyS0', 'quiet', 'panic=-1', ...patience, ...address, ...parameters]
  return [
    ...['-machine', 'pc', '-accel', accelerator, '-cpu', 'qemu64'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-serial', 'stdio'],
    ...['-kernel', files.image, '-initrd', files.initrd, '-append', line.join(' ')],
    ...['-drive', `file=${quoted},if=none,id=disk,format=raw`, '-device', 'virtio-blk-pci,drive=disk'],
    ...(network === undefined ? [] : networkArguments(network)),
    ...(balloon ? ['-device', 'virtio-balloon-pci,free-page-reporting=on'] : []),
    ...(agent === undefined ? [] : agentArguments(agent)),
  ]
}

function networkArguments({ tap, address, fd }: NonNullable<LinuxGuest['network']>): string[] {
  // In one bridge they differ.
  const mac = `52:54:00:00:00:${Number(address.split('.').at(-1)).toString(16).padStart(2, '0')}`
  const device = fd === undefined ? `ifname=${tap},script=no,downscript=no` : `fd=${fd}`
  return [
    ...['-netdev', `tap,id=network,${device}`],
    ...['-device', `virtio-net-pci,netdev=network,mac=${mac},romfile=`],
  ]
}

function agentArguments(socket: string): string[] {
  return [
    ...['-chardev', `socket,id=agent,path=${socket},server=on,wait=off`, '-device', 'virtio-serial-pci'],
    ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
  ]
}

export async function makeDisk(file: string): Promise<void> {
  if (findProgram('mke2fs') === undefined) installPackage('e2fsprogs', 'mke2fs')
  writeFileSync(file, '')
  truncateSync(file, diskBytes)
  await run('mke2fs', ['-q', '-F', '-t', 'ext4', file])
}

/** The records on a disk that the guest has unmounted. @throws Error where its file system or a record is not in order */
export async function recordsOn(disk: string): Promise<DiskRecord[]> {
  const { status, stdout } = await attempt('e2fsck', ['-f', '-n', disk])
  if (status !== 0) throw new Error(`the file system is not clean:\n${stdout}`)
  const copy = `${disk}.records`
  await run('debugfs', ['-R', `dump /records ${copy}`, disk])
  const bytes = readFileSync(copy)
  rmSync(copy)
  return readRecords(bytes)
}
