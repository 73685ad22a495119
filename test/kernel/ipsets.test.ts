import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Exec } from '../../agent/host/exec.ts'
import { compareSets } from '../../agent/netfilter/ipset-compare.ts'
import {
  changeText,
  clusterSetName,
  createText,
  formatEntry,
  staticSetName,
  temporaryName,
} from '../../agent/netfilter/ipset-text.ts'
import type { Ipset } from '../../agent/netfilter/ipset-text.ts'
import { createIpsets } from '../../agent/netfilter/ipsets.ts'
import type { Ipsets } from '../../agent/netfilter/ipsets.ts'
import { families, parseCidr } from '../../agent/ruleset/address.ts'
import type { Cidr, Family } from '../../agent/ruleset/address.ts'
import { mergeCidrs } from '../../agent/ruleset/merge-cidrs.ts'
import { cidrs } from '../ruleset/arbitrary-cidr.ts'
import { usableBackends } from '../sandbox/backends.ts'
import { startHost } from '../sandbox/host.ts'
import type { Host } from '../sandbox/host.ts'
import { clientAddress, createSandbox, nodeAddress } from '../sandbox/sandbox.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'

const [backend] = await usableBackends()

/** Lists as they come out of mergeCidrs, of networks that a set can hold. */
function lists(family: Family): fc.Arbitrary<readonly Cidr[]> {
  const merged = fc.array(cidrs(family, 1), { maxLength: 30 }).map(mergeCidrs)
  return merged.filter((list) => list.every(({ prefix }) => prefix > 0))
}

function fixed(family: Family, list: readonly Cidr[]): Ipset {
  return { name: staticSetName(family, list), family, cidrs: list }
}

function nodes(family: Family, list: readonly Cidr[]): Ipset {
  return { name: clusterSetName(family, 'nodes'), family, cidrs: list }
}

function programOf(family: Family): string {
  return `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}`
}

const some = ['192.0.2.1', '192.0.2.2', '198.51.100.0/24'].map(parseCidr)

describe.skipIf(backend === undefined)('sets in the kernel', () => {
  let host: Host
  let ipsets: Ipsets
  /** What was run since the last look. */
  let runs: { args: readonly string[]; input: string }[] = []

  beforeAll(async () => {
    host = await startHost()
    const exec: Exec = async (program, args, options = {}) => {
      runs.push({ args, input: options.input ?? '' })
      return host.exec(program, args, options)
    }
    ipsets = createIpsets(exec)
  })
  afterAll(async () => host.close())
  afterEach(async () => {
    for (const family of families) await host.exec(programOf(family), ['-F', 'INPUT'])
    await host.exec('ipset', ['destroy'])
    runs = []
  })

  const ipset = async (...args: string[]) => host.exec('ipset', args)
  const ignore = () => {}
  const read = async () => ipsets.read({ thorough: true })
  const prepare = async (...sets: Ipset[]) => ipsets.prepare(sets, await read())
  const useInRule = async ({ name, family }: Ipset) =>
    host.exec(programOf(family), ['-A', 'INPUT', '-m', 'set', '--match-set', name, 'src', '-j', 'DROP'])

  describe.each(families)('%s', (family) => {
    test('what is put into a set is what is read back, for any list', async () => {
      await fc.assert(
        fc.asyncProperty(lists(family), async (list) => {
          const set = fixed(family, list)
          expect(await prepare(set)).toBe(true)
          const present = await read()
          expect([...present.keys()]).toEqual([set.name])
          expect(present.get(set.name)?.elements).toEqual(new Set(list.map(formatEntry)))
          expect(compareSets([set], present)).toEqual([])
          expect(await prepare(set)).toBe(false)
          expect(await ipsets.destroyUnused(new Set(), present)).toEqual({ destroyed: [set.name], inUse: [] })
          expect(await read()).toEqual(new Map())
        }),
        { numRuns: 15 },
      )
    })

    test('a set that changes by element comes from any list to any other, though a rule uses it', async () => {
      await prepare(nodes(family, []))
      await useInRule(nodes(family, []))
      await fc.assert(
        fc.asyncProperty(lists(family), async (list) => {
          const set = nodes(family, list)
          await prepare(set)
          expect(compareSets([set], await read())).toEqual([])
        }),
        { numRuns: 15 },
      )
    })

    test('who is killed while filling a set leaves nothing that looks like it, and is made up for', async () => {
      const writer = lists(family).chain((list) => fc.tuple(fc.constant(fixed(family, list)), fc.nat()))
      await fc.assert(
        fc.asyncProperty(writer, async ([set, place]) => {
          const text = createText(set)
          const input = text.slice(0, place % text.length)
          await host.exec('ipset', ['restore'], { input }).catch(ignore)
          const half = await read()
          // The last newline alone may be missing.
          expect(half.has(set.name) && input !== text.slice(0, -1)).toBe(false)
          await ipsets.prepare([set], half)
          expect(compareSets([set], await read())).toEqual([])
          await ipset('destroy')
        }),
        { numRuns: 15 },
      )
    })

    test('who is killed while changing a set leaves no element that was never meant', async () => {
      const writer = fc.tuple(lists(family), lists(family), fc.nat())
      await fc.assert(
        fc.asyncProperty(writer, async ([before, after, place]) => {
          await prepare(nodes(family, before))
          const present = new Set(before.map(formatEntry))
          const wanted = new Set(after.map(formatEntry))
          const text = changeText(nodes(family, after), present)
          const input = text.slice(0, place % (text.length + 1))
          await host.exec('ipset', ['-exist', 'restore'], { input }).catch(ignore)
          const elements = (await read()).get(nodes(family, []).name)?.elements ?? new Set()
          expect(elements.isSubsetOf(present.union(wanted))).toBe(true)
          expect(elements.isSupersetOf(present.intersection(wanted))).toBe(true)
        }),
        { numRuns: 15 },
      )
    })
  })

  test('families that are read at the same time share the processes, and see their own sets', async () => {
    const sets = families.map((family) => fixed(family, [parseCidr(nodeAddress[family])]))
    await prepare(...sets)
    runs = []
    const seen = await Promise.all(families.map(async (family) => ipsets.read({ family })))
    expect(runs.map(({ args }) => args)).toEqual([['list']])
    expect(seen.map((each) => [...each.keys()])).toEqual(sets.map(({ name }) => [name]))
    expect(seen.flatMap((each) => [...each.values()].map(({ elements }) => elements?.size))).toEqual([1, 1])
  })

  test('reading makes nothing, and takes one process where only headers are needed', async () => {
    expect(await ipsets.read()).toEqual(new Map())
    expect((await ipset('list', '-n')).stdout).toBe('')
    expect(runs).toHaveLength(1)
  })

  test('one changed element is one command', async () => {
    await prepare(nodes('ipv4', some))
    const present = await read()
    runs = []
    await ipsets.prepare([nodes('ipv4', some.slice(1))], present)
    expect(runs).toEqual([{ args: ['-exist', 'restore'], input: 'del node-firewall4-nodes "192.0.2.1"\n' }])
    await ipsets.prepare([nodes('ipv4', some)], await read())
    expect(runs.at(-1)?.input).toBe('add node-firewall4-nodes "192.0.2.1"\n')
    expect(compareSets([nodes('ipv4', some)], await read())).toEqual([])
  })

  test.each<[string, (name: string) => string[]]>([
    ['an element is gone', (name) => ['del', name, '192.0.2.1']],
    ['an element is foreign', (name) => ['add', name, '203.0.113.7']],
    ['an exception is foreign', (name) => ['add', name, '198.51.100.128/25', 'nomatch']],
    ['an element has become an exception', (name) => ['-exist', 'add', name, '198.51.100.0/24', 'nomatch']],
    ['all elements are gone', (name) => ['flush', name]],
  ])('what somebody did to a set that a rule uses is undone: %s', async (_, command) => {
    for (const set of [fixed('ipv4', some), nodes('ipv4', some)]) {
      await prepare(set)
      await useInRule(set)
      await ipset(...command(set.name))
      expect(compareSets([set], ofName(await read(), set))).toHaveLength(1)
      expect(await prepare(set)).toBe(true)
      expect(compareSets([set], ofName(await read(), set))).toEqual([])
      expect((await read()).get(set.name)?.references).toBe(1)
    }
    expect((await read()).size).toBe(2)
  })

  test('a set of our name that somebody made otherwise is replaced', async () => {
    const timed = fixed('ipv4', some)
    await ipset('create', timed.name, 'hash:net', 'timeout', '300')
    await useInRule(timed)
    const mixed = nodes('ipv4', some)
    await ipset('create', mixed.name, 'hash:net', 'family', 'inet6')
    const other = { ...nodes('ipv6', [parseCidr('::1')]), name: clusterSetName('ipv6', 'self') }
    await ipset('create', other.name, 'bitmap:port', 'range', '0-10')
    await prepare(timed, mixed, other)
    expect(compareSets([timed, mixed, other], await read())).toEqual([])
    expect((await read()).get(timed.name)?.references).toBe(1)
  })

  test('who is killed while making sets anew destroys none of others', async () => {
    const [left, changed, other] = [fixed('ipv4', some), fixed('ipv4', some.slice(1)), nodes('ipv4', some)]
    await ipset('create', 'foreign', 'hash:ip')
    await ipset('create', temporaryName(left.name), 'hash:net')
    await ipset('create', changed.name, 'hash:net')
    await ipset('create', other.name, 'bitmap:port', 'range', '0-10')
    runs = []
    await prepare(left, changed, other)
    await ipsets.destroyUnused(new Set([left.name, changed.name, other.name]), await read())
    expect(compareSets([left, changed, other], await read())).toEqual([])
    const inputs = runs.map(({ input }) => input).filter((input) => input !== '')
    const written = inputs.find((input) => input.includes('swap '))
    expect(written).toBeDefined()
    // A command that is cut off is another command, or has fewer arguments.
    const starts = inputs.flatMap((input) =>
      [...input.matchAll(/^\w+ ?/gm)].map(({ index, 0: word }) => ({ input, index, word })),
    )
    for (const { input, index, word } of starts) {
      for (let bytes = 1; bytes <= word.length; bytes += 1) {
        await host.exec('ipset', ['restore'], { input: input.slice(0, index + bytes) }).catch(ignore)
      }
      expect((await ipset('list', '-n')).stdout, `after "${word}"`).toContain('foreign\n')
    }
  })

  test('one that was half filled under its own name is completed', async () => {
    const set = fixed('ipv4', some)
    await ipset('create', set.name, 'hash:net')
    await ipset('add', set.name, '192.0.2.1')
    await prepare(set)
    expect(compareSets([set], await read())).toEqual([])
  })

  test('networks of the other family are refused, and nothing comes of the set', async () => {
    const mixed = { ...fixed('ipv4', some), cidrs: [...some, parseCidr('2001:db8::1')] }
    await expect(prepare(mixed)).rejects.toThrow('Error in line 5')
    expect([...(await read()).keys()]).toEqual([temporaryName(mixed.name)])
    expect((await ipset('save')).stdout).not.toContain('2001:db8::1')
  })

  test('sets that rules use are left, the others go', async () => {
    const sets = [1, 2, 3, 4].map((number) => fixed('ipv4', [parseCidr(`192.0.2.${number}`)]))
    await prepare(...sets)
    const [kept, used, ...unused] = sets
    if (kept === undefined || used === undefined) throw new Error('too few sets')
    await useInRule(used)
    const present = await read()
    const { destroyed, inUse } = await ipsets.destroyUnused(new Set([kept.name]), present)
    expect(inUse).toEqual([used.name])
    expect(destroyed).toEqual(unused.map(({ name }) => name))
    expect([...(await read()).keys()].toSorted()).toEqual([kept.name, used.name].toSorted())
    // What was read before the sets went is no hindrance.
    expect(await ipsets.destroyUnused(new Set([kept.name]), present)).toEqual({
      destroyed: [],
      inUse: [used.name],
    })
  })

  test('sets of others are neither read nor touched', async () => {
    await ipset('create', 'node-firewall', 'hash:ip')
    await ipset('create', 'node-firewall4', 'list:set')
    await ipset('create', 'KUBE-CLUSTER-IP', 'hash:ip,port', 'timeout', '0')
    await ipset('add', 'node-firewall', '192.0.2.1')
    const before = (await ipset('save')).stdout
    expect(await read()).toEqual(new Map())
    await prepare(fixed('ipv4', some), nodes('ipv6', [parseCidr('::1')]))
    await ipsets.destroyUnused(new Set(), await read())
    expect((await ipset('save')).stdout).toBe(before)
  })

  test('100,000 elements come in, and the kernel need not make the set larger', async () => {
    const list = Array.from({ length: 100_000 }, (_, index) => {
      return parseCidr(`10.${index >> 12}.${(index >> 4) & 255}.${(index & 15) * 16 + 1}`)
    })
    const set = fixed('ipv4', list)
    await prepare(set)
    const present = await read()
    expect(compareSets([set], present)).toEqual([])
    expect((await ipset('list', '-terse', set.name)).stdout).toContain('hashsize 131072 maxelem 1048576')
    // So many are read only when asked for.
    const brief = await ipsets.read()
    expect(brief.get(set.name)).toMatchObject({ size: 100_000 })
    expect(brief.get(set.name)).not.toHaveProperty('elements')
    expect(compareSets([set], brief)).toEqual([])
  })

  test('beside a large set, those that change by element are read all the same', async () => {
    const many = Array.from({ length: 2_500 }, (_, index) => parseCidr(`10.0.${index >> 8}.${index & 255}`))
    await prepare(fixed('ipv4', many), nodes('ipv4', some))
    const present = await ipsets.read()
    expect(present.get(nodes('ipv4', some).name)?.elements).toEqual(new Set(some.map(formatEntry)))
    expect(present.get(fixed('ipv4', many).name)).not.toHaveProperty('elements')
  })
})

function ofName<T>(present: ReadonlyMap<string, T>, { name }: Ipset): ReadonlyMap<string, T> {
  return new Map([...present].filter(([other]) => other === name))
}

describe.skipIf(backend === undefined)('while sets are repaired under load', () => {
  let sandbox: Sandbox
  beforeAll(async () => {
    sandbox = await createSandbox()
    await sandbox.node.listen('udp', 5000)
    await sandbox.node.listen('udp', 5001)
  })
  afterAll(async () => sandbox.close())

  test('a set is never empty to a packet: none gets in, none is kept out', async () => {
    const { node, internet } = sandbox
    const ipsets = createIpsets(node.exec)
    const filler = Array.from({ length: 2_000 }, (_, index) => parseCidr(`10.0.${index >> 8}.${index & 255}`))
    const list = mergeCidrs([...filler, parseCidr(clientAddress.internet.ipv4)])
    const sets = [fixed('ipv4', list), nodes('ipv4', list)]
    await ipsets.prepare(sets, new Map())
    const [inFixed, inNodes] = sets.map(({ name }) => ['-m', 'set', '--match-set', name, 'src'])
    const input = async (...rule: string[]) => node.exec(`iptables-${backend}`, ['-A', 'INPUT', ...rule])
    await input('-p', 'udp', '--dport', '5001', ...(inFixed ?? []), '-j', 'DROP')
    await input('-p', 'udp', '--dport', '5000', ...(inFixed ?? []), ...(inNodes ?? []), '-j', 'ACCEPT')
    await input('-p', 'udp', '--dport', '5000', '-j', 'DROP')
    const blast = await internet.stream(nodeAddress.ipv4, 5001, 'blast')
    const echo = await internet.stream(nodeAddress.ipv4, 5000, 'echo')
    for (let round = 0; round < 15; round += 1) {
      for (const { name } of sets) {
        await node.exec('ipset', ['del', name, '10.0.0.0/22'])
        await node.exec('ipset', ['add', name, `203.0.113.${100 + round}`])
      }
      expect(await ipsets.prepare(sets, await ipsets.read({ thorough: true }))).toBe(true)
    }
    const [closed, open] = [await blast.stop(), await echo.stop()]
    expect(compareSets(sets, await ipsets.read({ thorough: true }))).toEqual([])
    expect(closed.sent).toBeGreaterThan(1000)
    expect(await node.received(5001)).toBe(0)
    expect(open.answered).toBeGreaterThan(100)
    expect(open.lost).toBe(0)
  })
})
