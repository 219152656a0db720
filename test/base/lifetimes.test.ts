import assertStrict from 'node:assert'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { assert } from '../../src/base/assert.js'
import { backoffMs } from '../../src/base/backoff.js'
import { systemClock } from '../../src/base/clock.js'
import { CloseStack, openInSteps } from '../../src/base/close-stack.js'
import { withDeadline } from '../../src/base/deadline.js'
import { Mutex } from '../../src/base/mutex.js'

t.test('what was opened is closed once, in reverse order', async (t) => {
  const closed: string[] = []
  const stack = new CloseStack()
  stack.push(() => void closed.push('first'))
  stack.push(async () => void closed.push('second'))
  await Promise.all([stack.close(), stack.close()])
  await stack.close()
  t.strictSame(closed, ['second', 'first'])
})

t.test('a release that fails does not keep the others from running', async (t) => {
  const closed: string[] = []
  const stack = new CloseStack()
  stack.push(() => void closed.push('first'))
  stack.push(() => {
    throw new Error('stuck')
  })
  await t.rejects(stack.close(), { message: 'stuck' })
  t.strictSame(closed, ['first'])
})

t.test('an open that fails half way releases what it had', async (t) => {
  const closed: string[] = []
  const open = openInSteps(async (stack) => {
    stack.push(() => void closed.push('one'))
    await sleep(1)
    throw new Error('no disk')
  })
  await t.rejects(open, { message: 'no disk' })
  t.strictSame(closed, ['one'])
})

t.test('work that ignores its signal still ends at the deadline', async (t) => {
  const never = withDeadline({ ms: 20, what: 'the flush' }, async () => new Promise(() => {}))
  await t.rejects(never, { code: 'ETIMEDOUT', message: /the flush took longer than 0.02 s/ })
})

t.test("the caller's signal ends the wait and reaches the work", async (t) => {
  const caller = new AbortController()
  let seen: AbortSignal | null = null
  const work = withDeadline({ ms: 10_000, what: 'it', signal: caller.signal }, async (signal) => {
    seen = signal
    return new Promise(() => {})
  })
  caller.abort(new Error('enough'))
  await t.rejects(work, { message: 'enough' })
  t.match(seen, { aborted: true })
  await t.rejects(
    withDeadline({ ms: 1, what: 'it', signal: caller.signal }, async () => 1),
    {
      message: 'enough'
    }
  )
})

t.test('work in time gives its result', async (t) => {
  t.equal(await withDeadline({ ms: 1000, what: 'it' }, async () => 7), 7)
  await t.rejects(
    withDeadline({ ms: 1000, what: 'it' }, async () => Promise.reject(new Error('own'))),
    { message: 'own' }
  )
})

t.test('sections of a mutex never overlap and keep their order', async (t) => {
  const mutex = new Mutex()
  const events: string[] = []
  const section = (name: string, ms: number) => async (): Promise<void> => {
    events.push(`+${name}`)
    await sleep(ms)
    events.push(`-${name}`)
    if (name === 'b') throw new Error('b failed')
  }
  const results = await Promise.allSettled([
    mutex.run(section('a', 5)),
    mutex.run(section('b', 1)),
    mutex.run(section('c', 0))
  ])
  t.strictSame(events, ['+a', '-a', '+b', '-b', '+c', '-c'])
  t.strictSame(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled']
  )
})

t.test('a back-off grows and stays within its bounds', async () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.integer({ min: 1, max: 1000 }), (failures, firstMs) => {
      const options = { firstMs, maxMs: 30_000 }
      const wait = backoffMs(failures, options)
      assertStrict.ok(wait >= Math.min(firstMs, 30_000) && wait <= 30_000)
      assertStrict.ok(backoffMs(failures + 1, options) >= wait)
    })
  )
})

t.test('a broken invariant throws what it claims', async (t) => {
  assert(true, 'fine')
  t.throws(() => assert(false, 'one reply per request'), { message: 'one reply per request' })
})

t.test(
  'the fine clock is right after the machine slept, and after its clock was set',
  async (t) => {
    let [wallMs, monotonicMs] = [1_000_000, 5.25]
    const clock = systemClock({ nowMs: () => wallMs, monotonicMs: () => monotonicMs })
    monotonicMs += 0.5
    t.equal(clock.nowNs(), 1_000_000_500_000n)
    wallMs += 3_600_000
    t.equal(clock.nowNs(), 4_600_000_000_000n, 'the monotonic clock does not count sleep')
    wallMs -= 7_200_000
    t.equal(clock.nowNs(), -2_600_000_000_000n, 'it was set back')
    monotonicMs += 0.25
    t.equal(clock.nowNs(), -2_599_999_750_000n)
  }
)
