import {
  isNamed,
  listOf,
  type Parameter,
  switchedOn,
  valuesOf,
} from '../../../../protocol/kernel/command-line'
import { parseKernelSize } from '../../../../protocol/units'
import { type Finding, lost, type PhysicalRange, spanOf, warning } from './configured-range'

/** Drivers that the line keeps from being loaded. */
export function forbidden(
  range: PhysicalRange,
  parameters: readonly Parameter[],
  drivers: readonly string[],
): Finding[] {
  return ['module_blacklist', 'modprobe.blacklist', 'rd.driver.blacklist'].flatMap(list =>
    listOf(parameters, list)
      .map(name => name.replaceAll('-', '_'))
      .filter(module => drivers.includes(module))
      .map(module => lost(range, 'blacklist', `${list}= keeps ${module} from being loaded`)),
  )
}

/** Whether the drivers of soft-reserved memory start, and leave the range to the broker. */
export function driversOf(
  range: PhysicalRange,
  parameters: readonly Parameter[],
  idleByModprobe: boolean,
): Finding[] {
  const findings: Finding[] = []
  const { end } = spanOf(range)
  const limit = parameters.find(
    ({ name, value }) => name === 'mem' && (parseKernelSize(value ?? '') ?? end) < end,
  )
  // The kernel soft-reserves the range all the same. But its device names no node, and the broker does not take it.
  if (limit)
    findings.push(lost(range, 'memoryLimit', `mem=${limit.value} ends memory before the end of the range`))
  findings.push(...forbidden(range, parameters, ['dax_hmem', 'device_dax']))
  for (const call of listOf(parameters, 'initcall_blacklist'))
    if (/(^|_)(dax|hmem)(_|$)/.test(call) && !/kmem/.test(call))
      findings.push(
        lost(range, 'blacklist', `initcall_blacklist=${call} keeps a driver of the range from starting`),
      )
  if (switchedOn(parameters, 'device_hmem.disable'))
    findings.push(lost(range, 'disabled', 'device_hmem.disable makes no device of soft-reserved memory'))
  const kmem =
    ['module_blacklist', 'modprobe.blacklist'].some(list => listOf(parameters, list).includes('kmem')) ||
    listOf(parameters, 'initcall_blacklist').includes('dax_kmem_init')
  const online = valuesOf(parameters, 'memhp_default_state').at(-1)?.startsWith('online') === true
  if (!switchedOn(parameters, 'dax_hmem.region_idle'))
    findings.push(...idle(range, parameters, { kmem, idleByModprobe, online }))
  else if (online && !kmem)
    findings.push(
      warning(
        range,
        'autoOnline',
        "memhp_default_state= makes memory of the driver kmem the kernel's own at once; give this range to nobody but the broker",
      ),
    )
  return findings
}

function idle(
  range: PhysicalRange,
  parameters: readonly Parameter[],
  { kmem, idleByModprobe, online }: { kmem: boolean; idleByModprobe: boolean; online: boolean },
): Finding[] {
  const off = parameters.some(parameter => isNamed(parameter, 'dax_hmem.region_idle'))
  const says = off ? 'dax_hmem.region_idle is off' : 'dax_hmem.region_idle=1 is missing'
  if (idleByModprobe && !off)
    return [
      warning(
        range,
        'regionIdle',
        `${says}; modprobe's configuration has it, which counts only if it is in the initrd as well or the module is loaded later`,
      ),
    ]
  if (kmem)
    return [
      warning(
        range,
        'regionIdle',
        `${says}: all of it becomes one device, which the broker has to take apart`,
      ),
    ]
  return [
    lost(
      range,
      'regionIdle',
      `${says}: all of it becomes one device, and the driver kmem may make it the kernel's own memory${online ? ' at once' : ''}`,
    ),
  ]
}
