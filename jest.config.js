/** @type {import('jest').Config} */
module.exports = {
  roots: ['<rootDir>/test'],
  testEnvironment: 'node',
  // A bound on hanging, beyond those of the waits inside, which say what never came.
  testTimeout: 300_000,
  globalSetup: '<rootDir>/test/support/huge-pages.js',
  globalTeardown: '<rootDir>/test/support/huge-pages-end.js',
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, sourceMaps: 'inline' },
    ],
  },
}
