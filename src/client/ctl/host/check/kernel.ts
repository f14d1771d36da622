import { parseCommandLine } from '../../../../../protocol/kernel/command-line'
import { sources } from '../../../../../protocol/source'
import { bad, good, type HostCheck, notApplicable, warning } from '../check'
import { isPreserved } from '../configured-range'
import { stateOf } from '../drivers'
import { buildOptions, missingFor, unsetFor } from '../kernel-build'
import { kmem } from './kmem'

/** The kernel loads them in this order: dax_hmem makes the device, which device_dax then binds. */
const modules: HostCheck = {
  id: 'modules',
  matters: source => source.reservation?.as === 'softReserved',
  run: ({ files }) => {
    const absent = (['dax_hmem', 'device_dax'] as const).filter(name => stateOf(files, name) === 'absent')
    return absent.length === 0
      ? good('dax_hmem and device_dax are there')
      : bad(
          `${absent.join(' and ')} ${absent.length === 1 ? 'is' : 'are'} not loaded`,
          'modprobe dax_hmem && modprobe device_dax',
        )
  },
}

const regionIdle: HostCheck = {
  id: 'regionIdle',
  matters: source => source.reservation?.as === 'softReserved',
  run: ({ files }) => {
    const value = files.text('/sys/module/dax_hmem/parameters/region_idle')
    if (value === undefined) return notApplicable('dax_hmem is not there, or does not know the parameter')
    return value === 'Y'
      ? good('dax_hmem leaves soft-reserved memory idle')
      : bad(
          'dax_hmem gives all soft-reserved memory away as one device, which kmem may take',
          'add dax_hmem.region_idle=1 to the kernel parameters (broker-ctl reserve prints them), and boot',
        )
  },
}

const lockdown: HostCheck = {
  id: 'lockdown',
  run: ({ files, configuration }) => {
    const text = files.text('/sys/kernel/security/lockdown')
    const mode = /\[(\w+)\]/.exec(text ?? '')?.[1]
    if (mode === undefined) return notApplicable('this kernel has no lockdown, or securityfs is not mounted')
    if (mode === 'none') return good('the kernel is not locked down')
    const how = 'boot without lockdown= (with Secure Boot: switch it off, or sign the kernel)'
    return configuration.ranges.some(({ source }) => sources[source].reservation?.as === 'reserved')
      ? bad(`the kernel is locked down (${mode}), and nobody may open /dev/mem`, how)
      : warning(`the kernel is locked down (${mode}): kexec takes only signed kernels`, how)
  },
}

const kexec: HostCheck = {
  id: 'kexec',
  run: ({ files, configuration }) => {
    if (files.number('/proc/sys/kernel/kexec_load_disabled') === 1)
      return bad(
        'kexec is switched off until the next boot (kernel.kexec_load_disabled)',
        'remove kernel.kexec_load_disabled from /etc/sysctl.conf and /etc/sysctl.d, and boot',
      )
    const loaded = files.number('/sys/kernel/kexec_loaded')
    if (loaded === undefined)
      return warning('this kernel has no kexec', 'boot a kernel with CONFIG_KEXEC_FILE')
    const kept = configuration.ranges.filter(isPreserved).map(({ name }) => name)
    if (kept.length > 0)
      return loaded === 1
        ? warning(
            `a kernel is loaded for kexec, and nobody can see whether kexec -s did it: one that kexec -c loads gets no memory of ${kept.join(', ')}`,
            'kexec -s -u, and let broker-ctl update --kernel load it',
          )
        : good(
            `kexec is there; memory of ${kept.join(', ')} goes to a kernel of release ${files.text('/proc/sys/kernel/osrelease')} that kexec -s loads`,
          )
    return good(
      loaded === 1
        ? "a kernel is loaded for kexec; its command line can't be seen now: broker-ctl preflight is for before loading"
        : 'kexec is there, and no kernel is loaded',
    )
  },
}

const kernelBuild: HostCheck = {
  id: 'kernelBuild',
  matters: source => source.kernel !== undefined,
  run: ({ files, configuration }) => {
    if (files.number('/proc/sys/vm/memfd_noexec') === 2 && configuration.ranges.some(isPreserved))
      return bad(
        'vm.memfd_noexec=2 forbids the only memfds that the kernel gives back writable after a kexec (preserve)',
        'set vm.memfd_noexec to 1 in /etc/sysctl.conf and /etc/sysctl.d, and boot',
      )
    const release = files.text('/proc/sys/kernel/osrelease') ?? ''
    const options = buildOptions(files, release)
    const build = { options, modules: undefined }
    const parameters = parseCommandLine(files.text('/proc/cmdline') ?? '')
    const missing = new Set(
      configuration.ranges.flatMap(range => [...missingFor(range, build), ...unsetFor(range, parameters)]),
    )
    if (options === undefined && missing.size === 0)
      return notApplicable(`there is no /boot/config-${release} to see what the kernel can do`)
    return missing.size === 0
      ? good('this kernel has the drivers')
      : bad(
          [...missing].join('; ').replaceAll('the next kernel', 'this kernel'),
          'boot a kernel that has them, with these parameters',
        )
  },
}

export const kernelChecks: readonly HostCheck[] = [modules, regionIdle, kmem, lockdown, kexec, kernelBuild]
