// `npm run test:fast`: what is run after every change. Left out is what needs a whole kernel, a browser, a service manager, QEMU
// or the registry, and what takes more than ten seconds by itself.
const { availableParallelism } = require('node:os')
const everything = require('./jest.config')

const leftOut = [
  'client/(exec-path|hand-over|remote|update|update-command|update-refused|update-steps)\\.test',
  'clients/(clients|hostile|install|rust)',
  'broker/users',
  'console/frames',
  'client/libvirt-qemu',
  'docs/(database-example|guides)',
  'guest/',
  'integration/(attack-(huge-pages|inode|memory|revocation|watch)|availability|kill-rounds|qemu|revocation|turns)',
  'lab/lab\\.test',
  'native/sanitize',
  'package/',
  'page/(browser|follows)',
  'program/(lmdb|memcached)',
  'quickstart/',
  'service/(notify|systemd|upgrade|vm)',
  'source/devdax-helper',
  'table/(crash|format-over|scale)',
  'vm/(balloon|failure|going-on|kill|linux-guest|memory|newest-qemu\\.test|run|save\\.test|update|upgrade)',
]

/** @type {import('jest').Config} */
module.exports = {
  ...everything,
  // Many suites wait more than they compute.
  maxWorkers: availableParallelism() + 1,
  testPathIgnorePatterns: [...leftOut.map(name => `/test/${name}`), '/node_modules/'],
}
