/** Sends a message to the service manager, with copies of descriptors. */
export type Notify = (state: string, fds?: readonly number[]) => void

const library = 'systemd'

/**
 * sd_pid_notify_with_fds(3) of the system's libsystemd. A host without systemd has neither the library nor a need of
 * it, so it is loaded at run time.
 * @throws Error when the library, or ffi-rs for this platform, is not there
 */
export function openNotify(socket: string): Notify {
  const { DataType, load, open } = require('ffi-rs') as typeof import('ffi-rs')
  open({ library, path: 'libsystemd.so.0' })
  return (state, fds = []) => {
    // It looks the address up in the environment, where no child of ours may find it.
    process.env.NOTIFY_SOCKET = socket
    try {
      const result = load({
        library,
        funcName: 'sd_pid_notify_with_fds',
        retType: DataType.I32,
        paramsType: [DataType.I32, DataType.I32, DataType.String, DataType.I32Array, DataType.U32],
        paramsValue: [0, 0, state, [...fds], fds.length],
      })
      if (result < 0) throw new Error(`sd_pid_notify_with_fds failed with errno ${-result}`)
    } finally {
      delete process.env.NOTIFY_SOCKET
    }
  }
}
