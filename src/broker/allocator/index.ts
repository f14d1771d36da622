export * from './extent-allocator'
export * from './extent-conflict'
