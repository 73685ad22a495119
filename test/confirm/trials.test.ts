import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createVirtualNode } from './virtual-node.ts'

/** Names that begin with "bad" cut the probe that follows: `bad-lease`. */
const cuts = (inForce: string, probe: string) =>
  inForce === `bad-${probe.replace(' ', '-')}` || inForce.startsWith('bad-all')

const good = { name: 'good' }
const better = { name: 'better' }
const bad = { name: 'bad-lease' }

describe('a change of rules', () => {
  test('is confirmed when what worked before works after it, and kept', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    expect(node.kernel()).toBe('good')
    expect(node.confirmed).toEqual(['good'])
    expect(node.disk.lastGood?.hash).toBe('good')
    expect(node.disk.journal).toEqual({ quarantined: [] })
    expect(node.trials().progress()).toBeUndefined()
  })

  test('where nothing is in force yet is in force with the first pass', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.pass()
    expect(node.kernel()).toBe('good')
  })

  test('that breaks a probe is in force until the deadline, then what was before', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.write(bad)
    await node.run()
    expect(node.kernel()).toBe('bad-lease')
    expect(node.trials().progress()).toMatchObject({ kind: 'confirming', probes: ['api server', 'lease'] })
    expect(node.disk.journal.trial).toMatchObject({
      hash: 'bad-lease',
      passedBefore: ['api server', 'lease'],
    })
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.trials().progress()).toMatchObject({
      kind: 'rolled back',
      quarantined: { hash: 'bad-lease', probe: 'lease', reason: 'Error: no answer' },
    })
    expect(node.rolledBack).toHaveLength(1)
    expect(node.disk.journal.trial).toBeUndefined()
  })

  test('that was rolled back is owed a cut until it is made, by the next agent too', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    expect(node.trials().owesCut()).toBe(false)
    node.write(bad)
    await node.run()
    expect(node.trials().owesCut()).toBe(false)
    await node.expire()
    expect(node.trials().owesCut()).toBe(true)
    await node.restart()
    expect(node.trials().owesCut()).toBe(true)
    node.write(better)
    await node.run()
    expect(node.confirmed).toEqual(['good', 'better'])
    expect(node.trials().owesCut()).toBe(true)
    await node.trials().noteCut()
    await node.restart()
    expect(node.trials().owesCut()).toBe(false)
    expect(node.disk.journal.quarantined).toHaveLength(1)
  })

  test('the first of all is rolled back to no rules at all', async () => {
    const node = await createVirtualNode(cuts)
    node.write(bad)
    await node.run()
    await node.expire()
    expect(node.kernel()).toBe('none')
    await node.restart()
    expect(node.kernel()).toBe('none')
    expect(node.rolledBack).toHaveLength(1)
  })

  test.each([
    ['full', true],
    ['nearly full', 'nearly'],
  ] as const)(
    'the first of all is taken back by the next agent too, where the disk was %s and nobody came to the kernel',
    async (_, full) => {
      const first = await createVirtualNode(cuts)
      first.write(bad)
      await first.run()
      first.disk.full = full
      await first.expire()
      expect(first.disk.lastGood).toBeUndefined()
      // The one before was killed between the disk and the kernel.
      const node = await createVirtualNode(cuts, ['api server', 'lease'], 'bad-lease')
      node.disk.journal = first.disk.journal
      node.write(bad)
      await node.restart()
      await node.expire()
      expect(node.kernel()).toBe('none')
      expect(node.disk).toMatchObject({
        lastGood: { hash: 'none' },
        journal: { quarantined: [{ hash: 'bad-lease' }] },
      })
      expect(node.disk.journal.trial).toBeUndefined()
    },
  )

  test('cannot be rolled back by what did not work before it', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.ailing.add('lease')
    node.write(bad)
    await node.run()
    expect(node.confirmed).toEqual(['good', 'bad-lease'])
  })

  test('is not confirmed by what passed before its rules were written again', async () => {
    let isOpen = true
    const node = await createVirtualNode((inForce) => inForce === 'narrow' && !isOpen)
    node.write(good)
    await node.run()
    node.write({ name: 'narrow' })
    await node.pass()
    expect(node.kernel()).toBe('narrow')
    isOpen = false
    node.learn()
    await node.run()
    expect(node.confirmed).toEqual(['good'])
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.rolledBack).toMatchObject([{ hash: 'narrow', probe: 'api server' }])
  })

  test('is confirmed when it works after its rules were written again', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.pass()
    node.learn()
    await node.run()
    expect(node.confirmed).toEqual(['good'])
  })

  test('is not asked of by probes when the rules are in force already', async () => {
    const node = await createVirtualNode(cuts, ['lease'], 'bad-all')
    node.write({ name: 'bad-all' })
    await node.run()
    expect(node.confirmed).toEqual(['bad-all'])
    expect(node.history).toEqual(['bad-all'])
  })

  test('that only one family takes is rolled back, also when the probes pass after the deadline', async () => {
    let works = false
    const node = await createVirtualNode((inForce) => inForce.includes('better') && !works, ['lease'])
    node.write(good)
    await node.run()
    node.refusing.add('ipv6')
    node.write(better)
    await node.run()
    works = true
    await node.expire()
    await node.run()
    expect(node.kernel()).toBe('good')
    expect(node.rolledBack).toMatchObject([{ hash: 'better', probe: 'ipv6' }])
  })

  test('that only one family takes is rolled back in both', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.refusing.add('ipv6')
    node.write(better)
    await node.run()
    expect(node.kernel()).toBe('better / good')
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.rolledBack).toMatchObject([{ probe: 'ipv6', reason: 'the kernel refused it' }])
  })

  test('that cannot be read back is rolled back at the deadline', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.unreadable.add('ipv4').add('ipv6')
    node.write(bad)
    await node.run()
    expect(node.kernel()).toBe('bad-lease')
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.rolledBack).toMatchObject([{ hash: 'bad-lease', probe: 'lease' }])
  })

  test('that works and cannot be read back is rolled back, and the reason is told', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.unreadable.add('ipv4').add('ipv6')
    node.write(better)
    await node.run()
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.rolledBack).toMatchObject([{ probe: 'ipv4', reason: 'it cannot be read back' }])
  })

  test('that can be read only later is tried all the same', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.unreadable.add('ipv4').add('ipv6')
    node.write(bad)
    await node.run()
    node.unreadable.clear()
    await node.run()
    expect(node.confirmed).toEqual(['good'])
    await node.expire()
    expect(node.kernel()).toBe('good')
  })

  test('is confirmed where a family was broken before it', async () => {
    const node = await createVirtualNode(cuts)
    node.refusing.add('ipv6')
    node.write(good)
    await node.run()
    expect(node.confirmed).toEqual(['good'])
  })
})

describe('what was rolled back', () => {
  async function rolledBack() {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.write(bad)
    await node.run()
    await node.expire()
    return node
  }

  test('is not tried again, also not by the next agent', async () => {
    const node = await rolledBack()
    const { length } = node.history
    await node.run()
    await node.restart()
    await node.run()
    expect(node.history).toHaveLength(length)
    expect(node.trials().progress()).toMatchObject({ kind: 'rolled back' })
  })

  test('is tried again once its text changes, though it means the same', async () => {
    const node = await rolledBack()
    node.write({ ...bad, comment: 'once more' })
    await node.run()
    expect(node.kernel()).toBe('bad-lease')
    await node.expire()
    expect(node.kernel()).toBe('good')
  })

  test('gives way to a text that works', async () => {
    const node = await rolledBack()
    node.write(better)
    await node.run()
    expect(node.confirmed).toEqual(['good', 'better'])
    expect(node.trials().progress()).toBeUndefined()
  })
})

describe('in the middle of a change', () => {
  async function confirming() {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.write(bad)
    await node.run()
    return node
  }

  test('another edit is judged by what worked before the first one, and nothing opens between them', async () => {
    const node = await confirming()
    node.write({ name: 'bad-all' })
    await node.run()
    expect(node.history).toEqual(['none', 'good', 'bad-lease', 'bad-all'])
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.rolledBack).toMatchObject([{ hash: 'bad-all', probe: 'api server' }])
  })

  test('an edit of a comment is no other try: the rules of before are back at the deadline', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.write(bad)
    await node.run()
    node.write({ ...bad, comment: 'the same' })
    await node.run()
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.history).toEqual(['none', 'good', 'bad-lease', 'good'])
    expect(node.trials().progress()).toMatchObject({ kind: 'rolled back' })
  })

  test.each([
    ['of the same meaning', { ...bad, comment: 'once more' }, 'bad-lease'],
    ['that works', better, 'better'],
  ])(
    'a text %s that comes with the deadline is tried after the rules of before are back',
    async (_, text, last) => {
      const node = await createVirtualNode(cuts)
      node.write(good)
      await node.run()
      node.write(bad)
      await node.run()
      node.write(text)
      await node.expire()
      expect(node.history).toEqual(['none', 'good', 'bad-lease', 'good', last])
      expect(node.rolledBack).toHaveLength(1)
    },
  )

  test('taking it back needs no probes', async () => {
    const node = await confirming()
    node.write(good)
    await node.run()
    expect(node.kernel()).toBe('good')
    expect(node.disk.journal).toEqual({ quarantined: [] })
    await node.expire()
    expect(node.rolledBack).toEqual([])
  })

  test('an agent that dies leaves the next one what worked before the change', async () => {
    const node = await confirming()
    await node.restart()
    expect(node.kernel()).toBe('bad-lease')
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.rolledBack).toMatchObject([{ hash: 'bad-lease', probe: 'lease' }])
  })

  test('with no journal on the disk, the next agent goes back before it asks what works', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.disk.full = true
    node.write(bad)
    await node.run()
    expect(node.trials().problems()).toEqual(['no space left on device'])
    await node.restart()
    expect(node.history).toEqual(['none', 'good', 'bad-lease', 'good', 'bad-lease'])
    await node.expire()
    expect(node.kernel()).toBe('good')
  })

  test('a nearly full disk at the time of the confirmation: the next agent goes on with the change, not with what was before', async () => {
    let isCut = true
    const node = await createVirtualNode((inForce, probe) => isCut && cuts(inForce, probe))
    node.write(good)
    await node.run()
    node.write(bad)
    await node.run()
    node.disk.full = 'nearly'
    isCut = false
    await node.expire()
    expect(node.confirmed).toEqual(['good', 'bad-lease'])
    node.disk.full = false
    await node.restart()
    expect(node.history).toEqual(['none', 'good', 'bad-lease'])
    expect(node.disk).toMatchObject({ lastGood: { hash: 'bad-lease' }, journal: { quarantined: [] } })
  })

  test('what a full disk did not take is saved once it has room again', async () => {
    const node = await createVirtualNode(cuts)
    node.disk.full = true
    node.write(good)
    await node.run()
    expect(node.trials().problems()).toEqual(['no space left on device', 'no space left on device'])
    expect(node.disk.lastGood).toBeUndefined()
    node.disk.full = false
    await node.pass()
    expect(node.trials().problems()).toEqual([])
    expect(node.disk).toMatchObject({ lastGood: { hash: 'good' }, journal: { quarantined: [] } })
    await node.pass()
    expect(node.disk.journal.trial).toBeUndefined()
  })

  test('rulesets with an error do not end it', async () => {
    const node = await confirming()
    node.write('broken')
    await node.run()
    await node.expire()
    expect(node.kernel()).toBe('good')
  })
})

describe('failsafes that become narrow once the change is confirmed', () => {
  /** Whoever goes by nodes cuts the Lease, in rules that say so. */
  const cutsNarrow = (inForce: string, probe: string) =>
    probe === 'lease' && inForce.startsWith('good by') && inForce.includes('nodes')
  const narrowAfter = async (cut: (inForce: string, probe: string) => boolean) => {
    const node = await createVirtualNode(cut)
    node.write(good)
    await node.run()
    expect(node.disk.lastGood?.narrowed).toEqual([])
    return node
  }

  test('are tried, and stay narrow when all works', async () => {
    const node = await narrowAfter(cuts)
    node.know('nodes', 'apiServers')
    await node.run()
    expect(node.kernel()).toBe('good by nodes and apiServers')
    expect(node.disk.lastGood?.narrowed).toEqual(['nodes', 'apiServers'])
    expect(node.disk.journal).toEqual({ quarantined: [] })
    expect(node.trials().progress()).toBeUndefined()
    // One change was confirmed, not two.
    expect(node.confirmed).toEqual(['good'])
    await node.restart()
    expect(node.history).toEqual(['none', 'good', 'good by nodes and apiServers'])
  })

  test('are wide again at the deadline when a probe fails, and are not tried again', async () => {
    const node = await narrowAfter(cutsNarrow)
    node.know('nodes')
    await node.run()
    expect(node.kernel()).toBe('good by nodes')
    expect(node.trials().progress()).toMatchObject({ kind: 'confirming', hash: 'good' })
    expect(node.disk.journal.trial).toMatchObject({ hash: 'good', narrows: true })
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.wide).toMatchObject([{ hash: 'good', probe: 'lease', reason: 'Error: no answer' }])
    expect(node.rolledBack).toEqual([])
    expect(node.trials().progress()).toBeUndefined()
    expect(node.trials().problems().join()).toContain('with narrow ones lease failed: Error: no answer')
    await node.restart()
    node.know('nodes', 'apiServers')
    await node.run()
    expect(node.history).toEqual(['none', 'good', 'good by nodes', 'good'])
  })

  test('are tried with the next change, which is judged by itself', async () => {
    const node = await narrowAfter(cutsNarrow)
    node.know('nodes')
    await node.run()
    await node.expire()
    node.write(better)
    await node.run()
    expect(node.kernel()).toBe('better by nodes')
    expect(node.confirmed).toEqual(['good', 'better'])
    expect(node.trials().problems()).toEqual([])
  })

  test('stay wide for what stands, while another change is rolled back', async () => {
    const node = await narrowAfter(
      (inForce, probe) => cutsNarrow(inForce, probe) || cuts(inForce.replace(/ by .*/, ''), probe),
    )
    node.know('nodes')
    node.write(bad)
    await node.run()
    expect(node.kernel()).toBe('bad-lease by nodes')
    await node.expire()
    expect(node.kernel()).toBe('good')
    expect(node.trials().progress()).toMatchObject({ kind: 'rolled back' })
  })

  test('that cut are found by the next agent, which goes on with the trial', async () => {
    const node = await narrowAfter(cutsNarrow)
    node.know('nodes')
    await node.run()
    await node.restart()
    expect(node.kernel()).toBe('good by nodes')
    expect(node.trials().progress()).toMatchObject({ kind: 'confirming', probes: ['api server', 'lease'] })
    await node.expire()
    expect(node.kernel()).toBe('good')
  })

  test('cost no trial when members come and go, nor when the change was confirmed with them', async () => {
    const node = await createVirtualNode(cuts)
    node.know('nodes', 'apiServers')
    node.write(good)
    await node.run()
    expect(node.disk.lastGood?.narrowed).toEqual(['nodes', 'apiServers'])
    node.learn()
    await node.run()
    await node.restart()
    // After a restart of the machine nothing is known at first.
    node.know()
    await node.run()
    node.know('nodes', 'apiServers')
    await node.pass()
    expect(node.kernel()).toBe('good by nodes and apiServers')
    expect(node.trials().progress()).toBeUndefined()
    expect(node.disk.journal.trial).toBeUndefined()
  })

  test('are not tried where nobody has kept by what they were confirmed', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    const { narrowed: _, ...older } = node.disk.lastGood ?? {
      hash: '',
      files: [],
      labels: {},
      confirmedAt: '',
    }
    node.disk.lastGood = older
    await node.restart()
    node.know('nodes')
    await node.pass()
    expect(node.kernel()).toBe('good by nodes')
    expect(node.trials().progress()).toBeUndefined()
  })
})

describe('without rulesets that can be used', () => {
  test('an agent that starts puts the last good ones in force', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.write('broken')
    await node.restart()
    expect(node.kernel()).toBe('good')
    expect(node.history).toEqual(['none', 'good'])
  })

  test('with none that were ever good, what is there stays', async () => {
    const node = await createVirtualNode(cuts, ['lease'], 'foreign')
    node.write('broken')
    await node.run()
    expect(node.kernel()).toBe('foreign')
  })

  test('rulesets that select nothing are good at once, and kept as such', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.write('nothing')
    await node.run()
    expect(node.kernel()).toBe('none')
    node.write('broken')
    await node.restart()
    expect(node.kernel()).toBe('none')
  })
})

describe('while it is not this node’s turn', () => {
  test('what was confirmed last stays, and the reason is told', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.turn = { kind: 'wait', message: 'node-7 is first' }
    node.write(better)
    await node.run()
    expect(node.kernel()).toBe('good')
    expect(node.trials().progress()).toEqual({ kind: 'wait', hash: 'better', message: 'node-7 is first' })
    node.turn = { kind: 'go' }
    await node.run()
    expect(node.kernel()).toBe('better')
  })

  test('a node where nothing was ever confirmed says that it has nothing to stay with', async () => {
    const node = await createVirtualNode(cuts)
    node.turn = { kind: 'wait', message: 'node-7 is first' }
    node.write(good)
    await node.run()
    expect(node.kernel()).toBe('good')
  })

  test('the others are told after each pass how it ended here', async () => {
    const node = await createVirtualNode(cuts)
    node.write(good)
    await node.run()
    node.write(bad)
    await node.run()
    await node.expire()
    await node.pass()
    expect([...new Set(node.outcomes)]).toEqual(['good confirmed', 'bad-lease rolled-back'])
    expect(node.outcomes.slice(-2)).toEqual(['bad-lease rolled-back', 'bad-lease rolled-back'])
  })
})

const texts = ['good', 'better', 'best', 'bad-lease', 'bad-all', 'broken', 'nothing'] as const
type Step = { readonly write: (typeof texts)[number] } | 'pass' | 'expire' | 'restart' | 'fill' | 'free'
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom(...texts).map((write) => ({ write })),
  fc.constantFrom('pass' as const, 'expire' as const, 'restart' as const, 'fill' as const, 'free' as const),
)

test('whatever happens in whatever order, a bad change never stays past its deadline', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const node = await createVirtualNode(cuts)
      node.write({ name: 'good' })
      await node.run()
      let last = 'good'
      for (const each of steps) {
        if (each === 'pass') await node.pass()
        else if (each === 'expire') await node.expire()
        else if (each === 'restart') await node.restart()
        else if (each === 'fill' || each === 'free') node.disk.full = each === 'fill'
        else {
          const { write } = each
          last = write
          node.write(write === 'broken' || write === 'nothing' ? write : { name: write })
          await node.run()
        }
      }
      await node.run()
      await node.expire()
      await node.expire()
      expect(node.confirmed.filter((name) => name.startsWith('bad'))).toEqual([])
      expect(node.kernel()).not.toMatch(/bad| /)
      if (['good', 'better', 'best'].includes(last)) expect(node.kernel()).toBe(last)
      // After the first rules nothing is ever open, unless that is what was written.
      if (!steps.some((each) => typeof each === 'object' && each.write === 'nothing')) {
        expect(node.history.slice(1)).not.toContain('none')
      }
    }),
    { numRuns: 300 },
  )
})
