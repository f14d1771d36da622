import {
  type BrokerMethodName,
  brokerDescription,
  brokerInterfaceName,
  brokerMethodNames,
} from './generated/broker'
import { serviceDescription, serviceInterfaceName, serviceMethodNames } from './generated/service'
import { validateIn as validateServiceIn } from './generated/service-validators'
import { validateIn } from './generated/validators'
import type { InterfaceDescription } from './wire/service'

// Claim with a prefix wants more as well, which only its handler can see.
const streams: ReadonlySet<BrokerMethodName> = new Set<BrokerMethodName>(['Watch'])

/** What wire/service.ts needs to know of the broker's interface. */
export const brokerInterface: InterfaceDescription = {
  name: brokerInterfaceName,
  description: brokerDescription,
  methods: new Map(
    brokerMethodNames.map(name => [name, { validateIn: validateIn[name], streams: streams.has(name) }]),
  ),
}

/** org.varlink.service itself, which every service lists. */
export const serviceInterface: InterfaceDescription = {
  name: serviceInterfaceName,
  description: serviceDescription,
  methods: new Map(
    serviceMethodNames.map(name => [name, { validateIn: validateServiceIn[name], streams: false }]),
  ),
}
