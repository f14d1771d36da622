import {
  type BrokerErrorName,
  type BrokerMethodName,
  brokerInterfaceName,
} from '../../../protocol/generated/broker'
import { brokerInterface, serviceInterface } from '../../../protocol/interfaces'
import { methodTraits } from '../../../protocol/methods'
import { withoutCode } from '../../../protocol/system-reason'
import { replyBytesMax } from '../../../protocol/wire/limits'
import { type Call, ReplyTooLarge } from '../../../protocol/wire/responder'
import { Service } from '../../../protocol/wire/service'
import { redactedFor } from '../access/policy'
import type { Broker } from '../broker'
import { isEnvironment } from '../failure'
import { Refusal, refuse } from '../refusal'
import type { Session } from '../session/session'
import { version } from '../version'
import { openConsole, reload, setLogLevel } from './administration'
import { allocate, grow } from './allocate'
import { checkAdmin } from './authorize'
import { claim, completeHandOver } from './claim'
import { discard } from './discard'
import { freeze, thaw } from './freeze'
import { give } from './give'
import { getAllocation, getStatus, listAllocations, listClients, listRanges } from './inspect'
import { createMapping, revokeMapping } from './mapping'
import { setMetadata, share } from './owner'
import { listPoisoned, markPoisoned } from './poison'
import { readAllocation } from './raw-view'
import { release } from './release'
import { shrink } from './shrink'
import { getRecovery, getStatistics } from './statistics'
import {
  answerUpdate,
  beginUpdate,
  cancelUpdate,
  forgetUpdateReport,
  getUpdate,
  getUpdateReport,
  joinUpdates,
  keepUpdate,
  proceedUpdate,
  reportResumed,
} from './update'
import { verify } from './verify'
import { watch } from './watch'

/** A handler: either it answers the call itself (streams), or it returns the reply, at once or later. */
type Handler<In> = (
  broker: Broker,
  session: Session,
  parameters: In,
  call: Call,
) => object | undefined | Promise<object | undefined>

const handlers: { [Method in BrokerMethodName]: Handler<never> } = {
  GetStatus: getStatus,
  ListRanges: listRanges,
  ListAllocations: listAllocations,
  GetAllocation: getAllocation,
  Allocate: allocate,
  Grow: grow,
  Shrink: shrink,
  Discard: discard,
  SetMetadata: setMetadata,
  Share: share,
  Give: give,
  CreateMapping: createMapping,
  RevokeMapping: revokeMapping,
  Release: release,
  Claim: claim,
  CompleteHandOver: completeHandOver,
  Freeze: freeze,
  Thaw: thaw,
  JoinUpdates: joinUpdates,
  AnswerUpdate: answerUpdate,
  BeginUpdate: beginUpdate,
  KeepUpdate: keepUpdate,
  ProceedUpdate: proceedUpdate,
  CancelUpdate: cancelUpdate,
  GetUpdate: getUpdate,
  ReportResumed: reportResumed,
  GetUpdateReport: getUpdateReport,
  ForgetUpdateReport: forgetUpdateReport,
  Watch: watch,
  ListClients: listClients,
  Verify: verify,
  MarkPoisoned: markPoisoned,
  ListPoisoned: listPoisoned,
  GetRecovery: getRecovery,
  GetStatistics: getStatistics,
  ReadAllocation: readAllocation,
  OpenConsole: openConsole,
  Reload: reload,
  SetLogLevel: setLogLevel,
}

/** Leads a call to its handler, and turns the handler's result or error into the reply. */
export function dispatcher(broker: Broker): (session: Session, call: Call) => void {
  const service = new Service({ vendor: 'membroker', product: 'membrokerd', version, url: '' }, [
    serviceInterface,
    brokerInterface,
  ])
  return (session, call) => {
    const route = service.route(call)
    if (!route) return
    const method = route.method as BrokerMethodName
    const handler = handlers[method] as Handler<unknown>
    const record = broker.statistics.methods[method]
    const started = performance.now()
    const answer = (out: object | undefined) => {
      if (out) call.reply(out)
      record.count(performance.now() - started)
    }
    const refused = (error: unknown) => {
      record.countError(fail(broker, session, call, error))
      record.count(performance.now() - started)
    }
    try {
      const reason = session.refusal(method, call.parameters)
      if (reason !== undefined) refuse('PermissionDenied', { reason })
      const { admin, frozen } = methodTraits[method]
      if (admin !== undefined) checkAdmin(session, admin)
      if (frozen) broker.checkThawed()
      const result = handler(broker, session, call.parameters, call)
      if (result instanceof Promise) result.then(answer).catch(refused)
      else answer(result)
    } catch (error) {
      refused(error)
    }
  }
}

/** Returns the error's name. */
function fail(broker: Broker, session: Session, call: Call, error: unknown): BrokerErrorName {
  if (error instanceof Refusal) {
    broker.log.debug(
      { client: session.id, method: call.method, refusal: error.error, ...error.parameters },
      'refused',
    )
    const parameters: { reason?: unknown } = error.parameters
    const { reason } = parameters
    call.fail(`${brokerInterfaceName}.${error.error}`, {
      ...parameters,
      ...(typeof reason === 'string' && { reason: redactedFor(session, reason) }),
    })
    return error.error
  }
  if (error instanceof ReplyTooLarge) {
    broker.log.error(
      { client: session.id, method: call.method, reason: error.message },
      'a reply is too large',
    )
    call.fail(`${brokerInterfaceName}.LimitExceeded`, { limit: 'replyBytes', max: replyBytesMax })
    return 'LimitExceeded'
  }
  if (isEnvironment(error)) {
    // Mostly the broker is out of descriptors: it can't serve this call, but it can serve others.
    const { code = 'unknown', syscall = 'source' } = error as NodeJS.ErrnoException
    broker.log.error({ client: session.id, method: call.method, err: error }, 'the system refused')
    call.fail(`${brokerInterfaceName}.SourceFailed`, {
      range: '',
      operation: syscall,
      code,
      reason: redactedFor(session, withoutCode(error)),
    })
    return 'SourceFailed'
  }
  broker.log.error({ method: call.method }, 'this call met a broken invariant')
  throw error
}
