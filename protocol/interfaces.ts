import { brokerDescription, brokerInterfaceName, brokerMethodNames } from './generated/broker'
import { serviceDescription, serviceInterfaceName, serviceMethodNames } from './generated/service'
import { validateIn as validateServiceIn } from './generated/service-validators'
import { validateIn } from './generated/validators'
import { methodTraits } from './methods'
import type { InterfaceDescription } from './wire/service'

/** The broker's interface, as wire/service.ts needs it. */
export const brokerInterface: InterfaceDescription = {
  name: brokerInterfaceName,
  description: brokerDescription,
  methods: new Map(
    brokerMethodNames.map(name => [
      name,
      { validateIn: validateIn[name], streams: methodTraits[name].more === 'always' },
    ]),
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
