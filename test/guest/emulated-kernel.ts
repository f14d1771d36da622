/**
 * Parameters of a kernel whose processor QEMU emulates on a busy host.
 * - The timer check takes the machine for a broken one.
 * - A processor that the kernel measures against a timer may give a clock that runs a hundred times too fast or too slow.
 * - The emulation sometimes loses the wake-up of a halted processor; the next tick is one, where idle processors have any.
 */
export const emulatedKernel: readonly string[] = ['no_timer_check', 'tsc=unstable', 'nohz=off']
