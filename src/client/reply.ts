import type { BrokerMethods } from '../../protocol/generated/broker'
import { validateOut } from '../../protocol/generated/validators'
import { closeAll } from './descriptor'
import { violation } from './errors'

export type Method = keyof BrokerMethods
export type In<M extends Method> = BrokerMethods[M]['in']
export type Out<M extends Method> = BrokerMethods[M]['out']

/** A checked reply. Its receiver owns its fds. */
export interface Reply<M extends Method> {
  readonly out: Out<M>
  readonly fds: readonly number[]
}

/**
 * The reply as the contract's type.
 * @throws BrokerError ProtocolViolation, after closing the fds
 */
export function checkReply<M extends Method>(
  method: M,
  reply: { parameters: Record<string, unknown>; fds: readonly number[] },
): Reply<M> {
  const problem = shapeProblem(method, reply.parameters) ?? fdsProblem(reply.parameters, reply.fds)
  if (problem === undefined) return { out: reply.parameters as Out<M>, fds: reply.fds }
  closeAll(reply.fds)
  throw violation(method, problem)
}

function shapeProblem(method: Method, parameters: Record<string, unknown>): string | undefined {
  const validate = validateOut[method]
  if (validate(parameters)) return undefined
  const [first] = validate.errors ?? []
  const missing = first?.params.missingProperty
  if (typeof missing === 'string') return `${first?.instancePath}/${missing} is missing`
  return `${first?.instancePath || 'it'} is not as the contract says`
}

/** Each descriptor belongs to exactly one grant, and each grant has one. */
function fdsProblem(parameters: Record<string, unknown>, fds: readonly number[]): string | undefined {
  const { grant, grants } = parameters as { grant?: Granted; grants?: Granted[] }
  // Nearly always. The rest of this function makes five arrays and a Set.
  if (!grants && (grant ? fds.length === 1 && grant.fileDescriptor === 0 : fds.length === 0)) return undefined
  const indexes = [...(grants ?? []), ...(grant ? [grant] : [])].map(granted => granted.fileDescriptor)
  if (indexes.length !== fds.length) return `${indexes.length} descriptors named, ${fds.length} received`
  const distinct = new Set(indexes)
  if (distinct.size !== indexes.length) return 'one descriptor is named twice'
  if (indexes.some(index => index < 0 || index >= fds.length)) return 'a descriptor index is out of bounds'
  return undefined
}

interface Granted {
  fileDescriptor: number
}
