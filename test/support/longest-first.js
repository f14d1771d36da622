// Jest's testSequencer. Jest starts the largest files first, as long as it has not measured them; a suite of minutes that
// starts late then runs alone at the end.
const Sequencer = require('@jest/test-sequencer').default

/** Suites of more than a minute, the longest first. */
const longest = [
  'lab/lab',
  'integration/availability',
  'native/sanitize',
  'docs/guides',
  'vm/save',
  'vm/kill',
  'page/browser',
  'client/update-command',
  'vm/upgrade',
  'client/update',
  'integration/kill-rounds',
].map(name => `/test/${name}.test.ts`)

module.exports = class LongestFirst extends Sequencer {
  sort(tests) {
    const place = test => {
      const index = longest.findIndex(suite => test.path.endsWith(suite))
      return index < 0 ? longest.length : index
    }
    return super.sort(tests).sort((one, other) => place(one) - place(other))
  }
}
