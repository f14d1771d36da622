/** Proves that an aborted call rejects at once, and that descriptors of a late reply have an owner. */
import { abortable } from '../../src/client/abort'

test('a value that arrives after the abort goes to discard, and only then', async () => {
  // Proves that descriptors of a late reply have an owner.
  const abort = new AbortController()
  let arrive: (value: string) => void = () => {}
  const discarded: string[] = []
  const call = abortable(
    new Promise<string>(resolve => {
      arrive = resolve
    }),
    abort.signal,
    late => discarded.push(late),
  )
  abort.abort(new Error('why'))
  await expect(call).rejects.toMatchObject({ code: 'Aborted', cause: { message: 'why' } })
  arrive('late')
  await new Promise(setImmediate)
  expect(discarded).toEqual(['late'])

  const inTime: string[] = []
  const quiet = new AbortController()
  await expect(abortable(Promise.resolve('value'), quiet.signal, late => inTime.push(late))).resolves.toBe(
    'value',
  )
  quiet.abort()
  expect(inTime).toEqual([])
})

test('an aborted signal rejects at once, though the promise never settles', async () => {
  // Proves that an abort does not depend on the broker.
  await expect(abortable(new Promise(() => {}), AbortSignal.abort())).rejects.toMatchObject({
    code: 'Aborted',
  })
})
