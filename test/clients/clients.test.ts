/** Proves that the client libraries in TypeScript, C and Python do the same with one broker: the table of cases.ts. */
import { TestBroker } from '../support/test-broker'
import { cases } from './cases'
import { Driver, languages } from './driver-process'
import { runCase } from './run-case'

let broker: TestBroker
beforeAll(async () => {
  broker = await TestBroker.start({
    main: { graceMs: 20_000, more: '[[owner]]\nuid = 0\nopen_by_path = true\n[[owner]]\nuid = 12345\n' },
  })
})
afterAll(() => broker.dispose())
afterEach(() => Driver.killAll())

for (const one of cases) {
  test(one.name, async () => {
    const answers = new Map<string, unknown[]>()
    for (const language of languages) answers.set(language, await runCase(broker, one, language))
    for (const language of languages)
      expect({ language, answers: answers.get(language) }).toEqual({
        language,
        answers: answers.get('typescript'),
      })
  })
}
