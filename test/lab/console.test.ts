/** Proves that the lab sees every complaint of a kernel on its console, and no other line. */
import { complaintIn } from './console'

test.each([
  '[   52.505443] ------------[ cut here ]------------',
  '[   52.505443][    T1] ------------[ cut here ]------------',
  '[   12.1] WARNING: CPU: 1 PID: 77 at drivers/dax/device.c:400 dev_dax_probe+0x1/0x2',
  '[    1.000001] BUG: unable to handle page fault for address: ffffea0002000008',
  '[    1.000001] kernel BUG at lib/list_debug.c:59!',
  '[    1.000001] list_del corruption. next->prev should be ffff888',
  '[    1.000001] Oops: 0000 [#1] PREEMPT SMP NOPTI',
  '[    1.000001] Kernel panic - not syncing: sysrq triggered crash',
  '[    1.000001] general protection fault, probably for non-canonical address 0xdead000000000100',
  '[   77.000001] watchdog: BUG: soft lockup - CPU#1 stuck for 121s! [node:77]',
  '[   77.000001] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:',
  '[   77.000001] INFO: task node:77 blocked for more than 120 seconds.',
  '[   77.000001] node[77]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so.6',
  '[   77.000001] Out of memory: Killed process 77 (node)',
  '[   77.000001] BUG: Bad page state in process node  pfn:40000',
  '[    5.000001] lab: module dax_hmem was not loaded',
])('a kernel in trouble is noticed: %s', line => {
  expect(complaintIn(line)).toBeDefined()
})

test.each([
  '[    5.597916] VFIO - User Level meta-driver version: 0.3',
  '[    0.147116] x86/mm: Checked W+X mappings: passed, no W+X pages found.',
  '[    3.303081] Unstable clock detected, switching default tracing clock to "global"',
  '[    0.000000] Warning: PCIe extended configuration space unavailable',
  '[   12.076736] hrtimer: interrupt took 15401570 ns',
  'SeaBIOS (version 1.16.2-debian-1.16.2-1)',
  '',
])('what kernels say in good health is not taken for trouble: %s', line => {
  expect(complaintIn(line)).toBeUndefined()
})
