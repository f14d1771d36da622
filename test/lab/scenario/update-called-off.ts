import { existsSync, writeFileSync } from 'node:fs'
import type { Host } from '../inside/host'
import { UpdateCommand } from '../inside/update-command'
import { checkGoneOn, checkUpdated, installServices, type Services } from '../inside/vm-services'
import { oneProcessor, type Scenario, stage, update } from '../scenario'

const services: Services = { vms: ['vm-1', 'vm-2'] }
/** Bounds on hanging, in milliseconds, where nobody is late. */
const patience = ['--deadline', '600000', '--within', '600000']
/** What init.sh runs where there is no root. */
const rescue = 'rescue'

/** A participant beside the VMs, which never answers by itself. */
interface Database {
  /** Resolves when it is the only one that has not answered. */
  othersSaved(): Promise<void>
  fail(reason: string): void
}

async function withDatabase(host: Host, use: (database: Database) => Promise<void>): Promise<void> {
  const client = await host.connect()
  let fail = (_reason: string) => {}
  const { joined } = client.participate({
    name: 'database',
    prepare: () =>
      new Promise((_, reject) => {
        fail = reason => reject(new Error(reason))
      }),
  })
  await joined
  await use({
    othersSaved: () =>
      host.until(async () => {
        const { update: current } = await client.update()
        return current?.ready === services.vms.length && current.waiting === 1
      }, 'the VMs are saved'),
    fail: reason => fail(reason),
  })
  await client.close()
}

/** The command ends with these words, and everybody runs. */
async function callsOff(host: Host, command: UpdateCommand, words: RegExp): Promise<void> {
  const code = await command.ended()
  host.check(code === 1, `it ends with 1, not ${code}`)
  host.check(words.test(command.said), `it says ${words}`)
  host.same(host.read('/sys/kernel/kexec_loaded'), '0', 'a kernel is loaded')
}

/** The update is over, and its report says why. */
async function everybodyRuns(host: Host, why: RegExp): Promise<void> {
  const client = await host.connect()
  await host.until(async () => {
    const { update: current, frozen } = await client.status()
    return !current && !frozen
  }, 'the update and its freeze are over')
  const { report } = await client.updateReport()
  await client.close()
  host.same(report?.outcome, 'cancelled', 'outcome of the update')
  host.check(why.test(report?.detail ?? ''), `the report says ${why}: ${report?.detail}`)
  await checkGoneOn(host, services.vms)
}

async function noKernel(host: Host): Promise<void> {
  const command = new UpdateCommand(host, '--kernel', '/etc/membroker.toml', ...patience)
  await callsOff(host, command, /LoadFailed: kexec .*; nothing has begun, and everybody runs/)
  await checkGoneOn(host, services.vms)
}

/** All is saved and frozen; in systemctl's place stands what kills the command that calls it. */
async function killedGoing(host: Host): Promise<void> {
  const go = '/run/systemctl'
  writeFileSync(go, '#!/bin/sh\nkill -KILL $PPID\n', { mode: 0o755 })
  const command = new UpdateCommand(host, '--deadline', '600000', '--within', '10000', '--go', go)
  host.same(await command.ended(), 'SIGKILL', 'end of the command')
  await everybodyRuns(host, /the kernel was not replaced in time/)
}

const brokerKilled = (host: Host) =>
  withDatabase(host, async database => {
    const command = new UpdateCommand(host, ...patience)
    await database.othersSaved()
    await host.exec('systemctl', ['kill', '-s', 'KILL', 'membroker.service'])
    // With the next broker.
    await database.othersSaved()
    database.fail('the disk is full')
    host.same(await command.ended(), 1, 'exit code of the command')
    await everybodyRuns(host, /the disk is full/)
  })

/** A kernel that finds no root. From its rescue shell, the operator boots the one before. */
async function intoNowhere(host: Host): Promise<void> {
  const { image, initrd } = host.nextKernel
  const line = host.read('/proc/cmdline')
  const old = `kexec -s -l ${image} --initrd=${initrd} --command-line='${line}'`
  writeFileSync(host.file(rescue), `rm /lab/${rescue} && ${old} && kexec -e\n`)
  const wrong = line.replace('root=/dev/vdc', 'root=/dev/vdz')
  await new UpdateCommand(host, ...patience, '--append', wrong).ended()
}

async function goOn(host: Host): Promise<void> {
  host.check(!existsSync(host.file(rescue)), 'the kernel before was booted from the rescue shell')
  await checkUpdated(host, services)
  host.say(await host.ctl('update', 'report'))
}

const scenario: Scenario = {
  title: 'an update of the host fails at any of its steps: everybody runs on, or goes on from what is saved',
  systemd: true,
  machine: oneProcessor,
  steps: [
    stage('install the broker, and two VMs as services', host => installServices(host, services)),
    stage('the kernel does not load', noKernel),
    stage('the command is killed when all is saved', killedGoing),
    stage('the broker is killed while a participant saves, which then fails', brokerKilled),
    update('broker-ctl update, into a kernel that does not come up', intoNowhere),
    stage('back on the kernel before, the VMs go on from what was saved', goOn),
  ],
}
export default scenario
