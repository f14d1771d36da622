// Generated from org.varlink.service.varlink by 'npm run generate'; edit that instead.

/** The Varlink service interface, https://varlink.org/Service */
export const serviceInterfaceName = 'org.varlink.service'

export type GetInfoIn = Record<string, never>

export interface GetInfoOut {
  vendor: string
  product: string
  version: string
  url: string
  interfaces: Array<string>
}

export interface GetInterfaceDescriptionIn {
  interface: string
}

export interface GetInterfaceDescriptionOut {
  description: string
}

/** Input and output of each method. */
export interface ServiceMethods {
  GetInfo: { in: GetInfoIn; out: GetInfoOut }
  GetInterfaceDescription: { in: GetInterfaceDescriptionIn; out: GetInterfaceDescriptionOut }
}

export type ServiceMethodName = keyof ServiceMethods

export const serviceMethodNames: readonly ServiceMethodName[] = [
  'GetInfo',
  'GetInterfaceDescription',
]

/** Parameters of each error. */
export interface ServiceErrors {
  InterfaceNotFound: {
    interface: string
  }
  MethodNotFound: {
    method: string
  }
  MethodNotImplemented: {
    method: string
  }
  InvalidParameter: {
    parameter: string
  }
  PermissionDenied: Record<string, never>
  ExpectedMore: Record<string, never>
}

export type ServiceErrorName = keyof ServiceErrors

export const serviceErrorNames: readonly ServiceErrorName[] = [
  'InterfaceNotFound',
  'MethodNotFound',
  'MethodNotImplemented',
  'InvalidParameter',
  'PermissionDenied',
  'ExpectedMore',
]

/** The text of the interface, for GetInterfaceDescription. */
export const serviceDescription = `# The Varlink service interface, https://varlink.org/Service
interface org.varlink.service

method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
`
