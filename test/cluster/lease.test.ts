import { describe, expect, test } from 'vitest'
import { OutsideError } from '../../agent/errors.ts'
import { LEASES } from './api-server/resources.ts'
import { NODE } from './own-node-fixture.ts'
import { REQUESTS, failureOf, probeOf, startWorking } from './probes-fixture.ts'

const never = new AbortController().signal

describe('before a change', () => {
  test.each([
    ['renewed a moment ago', 0, undefined],
    ['at the end of its time', 39, undefined],
    ['in the future: the clock was set back', -3600, undefined],
    ['overdue', 63, 'found a renewal of 63 s ago, expected one of the last 40 s'],
  ])('%s', async (_, age, why) => {
    const server = await startWorking()
    const now = Date.now()
    server.objects.renewLease(NODE, { at: new Date(now - age * 1000) })
    const wait = async () => {}
    const probe = probeOf(server, 'lease', {
      clock: { now: () => 0, date: () => now, random: () => 0, wait },
    })
    if (why === undefined) await probe.before(never)
    else expect(String(await failureOf(probe.before(never)))).toContain(`${REQUESTS.lease}: ${why}`)
  })

  test('a Lease that is good for longer', async () => {
    const server = await startWorking()
    server.objects.renewLease(NODE, { at: new Date(Date.now() - 63_000), seconds: 120 })
    await expect(probeOf(server, 'lease').before(never)).resolves.toBeUndefined()
  })

  test('a Lease that was never renewed', async () => {
    const server = await startWorking()
    const lease = server.store.get(LEASES, 'kube-node-lease', NODE)
    if (lease !== undefined) server.store.replace(LEASES, { ...lease, spec: { holderIdentity: NODE } })
    const error = await failureOf(probeOf(server, 'lease').before(never))
    expect(String(error)).toContain(`${REQUESTS.lease}: the answer is not what was asked for`)
  })
})

describe('after a change', () => {
  const looks = 3

  test.each([
    ['by clocks that agree', 10_000],
    ['by a clock that was set back an hour', -3_600_000],
    ['by a clock that was set forward a day', 86_400_000],
  ])('passes once the kubelet has renewed it, %s', async (_, laterMs) => {
    const server = await startWorking()
    const waits: number[] = []
    const wait = async (ms: number) => {
      waits.push(ms)
      if (waits.length === looks) server.objects.renewLease(NODE, { at: new Date(Date.now() + laterMs) })
    }
    await probeOf(server, 'lease', { clock: { now: () => 0, date: () => 0, random: () => 0.5, wait } }).after(
      never,
    )
    expect(waits).toEqual([1250, 1250, 1250])
    expect(server.requests).toHaveLength(looks + 1)
  })

  test('a Lease that was renewed long ago, and now again', async () => {
    const server = await startWorking()
    server.objects.renewLease(NODE, { at: new Date(0) })
    const wait = async () => server.objects.renewLease(NODE)
    await probeOf(server, 'lease', { clock: { now: () => 0, date: () => 0, random: () => 0, wait } }).after(
      never,
    )
    expect(server.requests).toHaveLength(2)
  })

  test('what the first look saw outlives attempts that fail', async () => {
    const server = await startWorking()
    let waits = 0
    const wait = async () => {
      waits += 1
      server.faults.answerNext(1, { status: 500 })
    }
    const probe = probeOf(server, 'lease', { clock: { now: () => 0, date: () => 0, random: () => 0, wait } })
    expect(String(await failureOf(probe.after(never)))).toContain(`${REQUESTS.lease}: 500`)
    server.objects.renewLease(NODE, { at: new Date(Date.now() + 10_000) })
    await probe.after(never)
    expect(waits).toBe(1)
  })

  test('not renewed until the deadline: says when it was last', async () => {
    const server = await startWorking()
    server.objects.renewLease(NODE, { at: new Date('2026-11-21T03:44:35.880Z') })
    const deadline = new AbortController()
    const wait = async () => {
      if (server.requests.length === looks) deadline.abort()
    }
    const probe = probeOf(server, 'lease', { clock: { now: () => 0, date: () => 0, random: () => 0, wait } })
    const error = await failureOf(probe.after(deadline.signal))
    expect(error).toBeInstanceOf(OutsideError)
    expect(String(error)).toContain(
      `${REQUESTS.lease}: not renewed since the change, the last time was 2026-11-21T03:44:35.880000Z`,
    )
  })
})
