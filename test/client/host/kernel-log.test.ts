/** Proves that the doctor tells whether a process follows the kernel's log, by what the process has open. */
import { closeSync, openSync } from 'node:fs'
import { kernelLog } from '../../../src/client/ctl/host/check/broker-process'
import { HostFiles } from '../../../src/client/ctl/host/host-files'
import { needsRoot } from '../../support/needs-root'

test('a broker that does not have the log open is warned of, with what that costs', () => {
  expect(kernelLog(new HostFiles(), process.pid)).toMatchObject({
    result: 'warning',
    finding: expect.stringMatching(/after a kexec the broker may give it to somebody else$/),
    repair: expect.stringMatching(/CAP_SYSLOG/),
  })
  expect(kernelLog(new HostFiles('/nowhere'), process.pid).result).toBe('notApplicable')
})

if (needsRoot("reading the kernel's log"))
  test('one that has it open is good', () => {
    const fd = openSync('/dev/kmsg', 'r')
    expect(kernelLog(new HostFiles(), process.pid).result).toBe('good')
    closeSync(fd)
  })
