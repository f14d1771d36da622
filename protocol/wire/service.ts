import type { Call } from './responder'

/** Says whether a value is of its type; after false, `errors` says where it is not. */
export interface Validator {
  (value: unknown): boolean
  errors?: readonly ValidationError[] | null | undefined
}

interface ValidationError {
  readonly instancePath: string
  readonly params: { readonly additionalProperty?: unknown; readonly missingProperty?: unknown }
}

interface MethodDescription {
  readonly validateIn: Validator
  /** Makes sense only with more. */
  readonly streams: boolean
}

export interface InterfaceDescription {
  readonly name: string
  /** The text of its .varlink file. */
  readonly description: string
  /** By name without the interface's. */
  readonly methods: ReadonlyMap<string, MethodDescription>
}

interface ServiceInfo {
  readonly vendor: string
  readonly product: string
  readonly version: string
  readonly url: string
}

/** A call whose method exists and whose parameters are of its type. */
interface Route {
  readonly interface: string
  readonly method: string
}

const own = 'org.varlink.service'

/** Answers org.varlink.service, and every call that does not fit the interfaces it was given. */
export class Service {
  private readonly info: object
  private readonly descriptions = new Map<string, string>()
  private readonly routes = new Map<string, { route: Route; method: MethodDescription }>()

  /** The description of org.varlink.service itself belongs to interfaces; its methods are answered here. */
  constructor(info: ServiceInfo, interfaces: readonly InterfaceDescription[]) {
    const { vendor, product, version, url } = info
    this.info = { vendor, product, version, url, interfaces: interfaces.map(({ name }) => name) }
    for (const { name, description, methods } of interfaces) {
      this.descriptions.set(name, description)
      for (const [member, method] of methods) {
        this.routes.set(`${name}.${member}`, { route: { interface: name, method: member }, method })
      }
    }
  }

  /** Where the call goes; undefined when it has been answered here. */
  route(call: Call): Route | undefined {
    const found = this.routes.get(call.method)
    if (found === undefined) {
      this.refuseUnknown(call)
      return undefined
    }
    const { route, method } = found
    if (!method.validateIn(call.parameters)) {
      call.fail(`${own}.InvalidParameter`, { parameter: invalidParameter(method.validateIn.errors?.[0]) })
      return undefined
    }
    if (method.streams && !call.more) {
      call.fail(`${own}.ExpectedMore`)
      return undefined
    }
    if (route.interface !== own) return route
    this.answer(call, route.method)
    return undefined
  }

  private refuseUnknown(call: Call): void {
    const dot = call.method.lastIndexOf('.')
    const name = call.method.slice(0, Math.max(dot, 0))
    if (this.descriptions.has(name)) call.fail(`${own}.MethodNotFound`, { method: call.method })
    else call.fail(`${own}.InterfaceNotFound`, { interface: name })
  }

  private answer(call: Call, method: string): void {
    if (method === 'GetInfo') {
      call.reply(this.info)
      return
    }
    const { interface: name } = call.parameters as { interface: string }
    const description = this.descriptions.get(name)
    if (description === undefined) call.fail(`${own}.InterfaceNotFound`, { interface: name })
    else call.reply({ description })
  }
}

/** The parameter a validation failed at, as a path of names and indices: `mapping`, `extents/0/length`. */
function invalidParameter(error: ValidationError | undefined): string {
  if (error === undefined) return ''
  const member = error.params.missingProperty ?? error.params.additionalProperty
  const path = member === undefined ? error.instancePath : `${error.instancePath}/${member}`
  return path.slice(1)
}
