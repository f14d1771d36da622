/** A parsed Varlink interface. `doc` is the comment directly above, without its #s; empty when there is none. */
export interface Interface {
  readonly name: string
  readonly doc: string
  readonly types: readonly TypeDefinition[]
  readonly methods: readonly Method[]
  readonly errors: readonly ErrorDefinition[]
}

export interface TypeDefinition {
  readonly name: string
  readonly doc: string
  readonly type: Struct | Enum
}

export interface Method {
  readonly name: string
  readonly doc: string
  readonly in: Struct
  readonly out: Struct
}

export interface ErrorDefinition {
  readonly name: string
  readonly doc: string
  readonly parameters: Struct
}

export interface Struct {
  readonly kind: 'struct'
  readonly fields: readonly Field[]
}

export interface Enum {
  readonly kind: 'enum'
  readonly values: readonly string[]
}

export interface Field {
  readonly name: string
  readonly doc: string
  readonly type: Type
}

export type Primitive = 'bool' | 'int' | 'float' | 'string' | 'object' | 'any'

export type Type =
  | Struct
  | Enum
  | { readonly kind: 'primitive'; readonly name: Primitive }
  | { readonly kind: 'reference'; readonly name: string }
  | { readonly kind: 'array'; readonly element: Type }
  | { readonly kind: 'map'; readonly element: Type }
  | { readonly kind: 'nullable'; readonly of: Exclude<Type, { readonly kind: 'nullable' }> }
