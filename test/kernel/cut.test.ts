import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cutDenied } from '../../agent/conntrack/cut.ts'
import type { Cutting } from '../../agent/conntrack/cut.ts'
import { deleteEntries } from '../../agent/conntrack/delete-entries.ts'
import { keyOf } from '../../agent/conntrack/entry.ts'
import { listEntries } from '../../agent/conntrack/list-denied.ts'
import { createFindNamespaces, holdersOf, noNamespaces } from '../../agent/conntrack/pod-namespaces.ts'
import { CommandError } from '../../agent/host/exec.ts'
import type { Exec } from '../../agent/host/exec.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import type { Flow } from '../../agent/ruleset/ruleset.ts'
import { addNat, deny, resetFilter } from '../conntrack/firewall.ts'
import { addresses, createLab, self } from '../conntrack/lab.ts'
import type { Lab, Place } from '../conntrack/lab.ts'
import type { Dial } from '../conntrack/talk.ts'
import { usableBackends } from '../sandbox/backends.ts'

/** A way past the node: who dials, whose address, and the ports of the victim and its neighbour. */
type Way = {
  readonly name: string
  readonly flow: Flow
  readonly from: Place
  readonly dialled: Place
  readonly ports: readonly [number, number]
}

const ways: readonly Way[] = [
  { name: 'to a process of the node', flow: 'ingress', from: 'outside', dialled: 'node', ports: [22, 23] },
  { name: 'to a node port', flow: 'ingress', from: 'outside', dialled: 'node', ports: [30_080, 30_081] },
  { name: 'to a host port', flow: 'ingress', from: 'outside', dialled: 'node', ports: [8080, 8081] },
  { name: 'straight to a pod', flow: 'podIngress', from: 'outside', dialled: 'pod', ports: [9090, 9091] },
  { name: 'from a pod', flow: 'podEgress', from: 'pod', dialled: 'outside', ports: [443, 444] },
  { name: 'from the node', flow: 'egress', from: 'node', dialled: 'outside', ports: [443, 444] },
]

const places: readonly Place[] = ['node', 'pod', 'outside']

/** Servers at these ports answer; those so many further on send all the time. */
const serverPorts = { node: [22, 23], pod: [8080, 8081, 9090, 9091], outside: [443, 444] } as const
const chattyOffset = 10_000

const usable = (await usableBackends()).includes('nft')

describe.runIf(usable)('cutting connections', () => {
  let lab: Lab
  beforeAll(async () => {
    lab = await createLab()
    for (const family of families) {
      for (const place of places) await serve(place, family)
      await addNat(lab.node.exec, family, [8080, 8081, 18_080, 18_081])
    }
  })
  afterAll(async () => lab.close())
  beforeEach(async () => resetFilter(lab.node.exec))
  afterEach(
    async () => void (await Promise.all(places.map(async (place) => lab[place].tell({ kind: 'close all' })))),
  )

  async function serve(place: Place, family: Family): Promise<void> {
    const [address] = addresses[family][place]
    for (const port of serverPorts[place]) {
      for (const protocol of ['tcp', 'udp'] as const) {
        await lab[place].tell({ kind: 'serve', protocol, address, port, chatty: false })
        await lab[place].tell({ kind: 'serve', protocol, address, port: port + chattyOffset, chatty: true })
      }
    }
  }

  type Case = {
    readonly way: Way
    readonly family: Family
    readonly protocol: 'tcp' | 'udp'
    readonly chatty: boolean
  }

  /** A victim, and neighbours that differ from it in port or in source. */
  async function open({ way, family, protocol, chatty }: Case, signal: AbortSignal) {
    const [port, otherPort] = way.ports.map((number) => number + (chatty ? chattyOffset : 0)) as [
      number,
      number,
    ]
    const [source, otherSource] = addresses[family][way.from]
    const [address] = addresses[family][way.dialled]
    const client = lab[way.from]
    const dials: Record<string, Dial> = {
      victim: { protocol, source, address, port },
      'other port': { protocol, source, address, port: otherPort },
      'other source': { protocol, source: otherSource, address, port },
    }
    for (const [name, dial] of Object.entries(dials)) await client.tell({ kind: 'open', name, dial })
    const messages = async (name: string) => (await client.tell({ kind: 'seen', name }))?.messages ?? 0
    /** All say something until these have had so many messages more. */
    const hear = async (names: readonly string[], count: number) => {
      for (const name of names) {
        const goal = (await messages(name)) + count
        while ((await messages(name)) < goal) {
          signal.throwIfAborted()
          for (const speaker of Object.keys(dials)) await client.tell({ kind: 'say', name: speaker })
        }
      }
    }
    await hear(Object.keys(dials), 1)
    return {
      victim: { protocol, source, address, port },
      messages,
      hear,
      neighbours: ['other port', 'other source'],
    }
  }

  /** What the agent does after it has put the denial of a connection in force. */
  function cutting({ way, family }: Case, victim: Dial): Cutting {
    return {
      exec: lab.node.exec,
      family,
      node: { self, external: ['eth0'], named: [] },
      findNamespaces: async (wanted) => holdersOf(lab.node.exec, wanted, [lab.pod.pid]),
      isDenied: ({ flow, from, dialled, interface: name }) =>
        flow === way.flow && from === victim.source && dialled.port === victim.port && name === 'eth0',
    }
  }

  async function tracked(family: Family): Promise<Set<string>> {
    const entries = [...(await listEntries(lab.node.exec, family))]
    return new Set(entries.map(({ protocol, orig }) => keyOf(protocol, orig)))
  }

  const casesOf = (wanted: readonly Way[], protocol: 'tcp' | 'udp', chatty: boolean) =>
    families.flatMap((family) =>
      wanted.map((way) => ({
        way,
        family,
        protocol,
        chatty,
        title: `${way.name}, ${family}, ${protocol}, ${chatty ? 'chatty' : 'quiet'} server`,
      })),
    )

  test.for([
    ...casesOf(ways, 'tcp', false),
    ...casesOf(ways, 'tcp', true),
    ...casesOf(ways, 'udp', false),
    ...casesOf(
      ways.filter(({ name }) => name === 'to a node port'),
      'udp',
      true,
    ),
  ])('$title: dead, and its neighbours live', async (one, { signal }) => {
    const { victim, messages, hear, neighbours } = await open(one, signal)
    const before = await tracked(one.family)
    await deny(lab.node.exec, one.family, victim)
    expect(await cutDenied(cutting(one, victim))).toEqual({ cut: 1, failed: 0, notes: [] })
    const last = await messages('victim')
    await hear(neighbours, 40)
    expect(await messages('victim')).toBe(last)
    const gone = [...before.difference(await tracked(one.family))].filter((key) => !key.startsWith('58 '))
    expect(gone).toEqual([expect.stringMatching(` ${victim.source} \\d+ ${victim.address} ${victim.port}$`)])
  })

  test.for(
    casesOf(
      ways.filter(({ name }) => name !== 'to a node port'),
      'tcp',
      true,
    ),
  )('$title: comes back when merely its entry is deleted', async (one, { signal }) => {
    const { victim, hear } = await open(one, signal)
    await deny(lab.node.exec, one.family, victim)
    const entries = [...(await listEntries(lab.node.exec, one.family))]
    const own = entries.filter(({ orig }) => orig.src === victim.source && orig.dport === victim.port)
    await deleteEntries(lab.node.exec, own)
    await hear(['victim'], 400)
    expect(own).toHaveLength(1)
  })

  const reachable = ways.filter(({ name }) =>
    ['to a process of the node', 'straight to a pod'].includes(name),
  )
  /** As ss(8) answers on a kernel without INET_DIAG_DESTROY. */
  const closingNothing =
    (exec: Exec): Exec =>
    async (program, args, options) =>
      program === 'ss' || args.includes('ss')
        ? { stdout: '', stderr: '', durationMs: 0 }
        : exec(program, args, options)

  test.for(casesOf(reachable, 'tcp', true))(
    '$title: not claimed as cut where its socket cannot be closed',
    async (one, { signal }) => {
      const { victim, hear, neighbours } = await open(one, signal)
      await deny(lab.node.exec, one.family, victim)
      const result = await cutDenied({ ...cutting(one, victim), exec: closingNothing(lab.node.exec) })
      expect(result).toEqual({
        cut: 0,
        failed: 1,
        notes: ['1 TCP connections go on: none of their sockets could be closed on this node'],
      })
      await hear([...neighbours, 'victim'], 40)
    },
  )

  const toPods = ways.filter(({ name }) => name === 'straight to a pod')

  test.for(casesOf(toPods, 'tcp', true))(
    '$title: dead, though the process by which its pod was to be entered has ended',
    async (one, { signal }) => {
      const { victim } = await open(one, signal)
      await deny(lab.node.exec, one.family, victim)
      const { findNamespaces = noNamespaces, ...others } = cutting(one, victim)
      const dead = await endedProcess()
      let looks = 0
      const result = await cutDenied({
        ...others,
        findNamespaces: async (wanted) =>
          looks++ === 0 ? new Map([[dead, wanted]]) : findNamespaces(wanted),
      })
      expect(result).toEqual({ cut: 1, failed: 0, notes: [] })
    },
  )

  test.for(casesOf(toPods, 'tcp', false))(
    '$title: no word about sockets of a pod that has ended meanwhile',
    async (one, { signal }) => {
      const { victim } = await open(one, signal)
      await deny(lab.node.exec, one.family, victim)
      const dead = await endedProcess()
      let looks = 0
      const { notes } = await cutDenied({
        ...cutting(one, victim),
        findNamespaces: async (wanted) => new Map(looks++ === 0 ? [[dead, wanted]] : []),
      })
      expect(notes).not.toContainEqual(expect.stringContaining('sockets of pods'))
    },
  )

  test.for(casesOf(toPods, 'tcp', true))(
    '$title: dead, though another pod cannot be entered at all, which is said',
    async (one, { signal }) => {
      const { victim } = await open(one, signal)
      await deny(lab.node.exec, one.family, victim)
      const { findNamespaces = noNamespaces, ...others } = cutting(one, victim)
      const dead = await endedProcess()
      const result = await cutDenied({
        ...others,
        findNamespaces: async (wanted) => new Map([[dead, wanted], ...(await findNamespaces(wanted))]),
      })
      const unentered = `nsenter: cannot open /proc/${dead}/ns/net: No such file or directory`
      expect(result).toEqual({
        cut: 1,
        failed: 0,
        notes: [`sockets of pods were not closed: running nsenter: exit status 1: ${unentered}`],
      })
    },
  )

  test.for(casesOf(reachable, 'tcp', false))(
    '$title: cut, with a warning, where its socket cannot be closed',
    async (one, { signal }) => {
      const { victim, hear, neighbours, messages } = await open(one, signal)
      await deny(lab.node.exec, one.family, victim)
      const result = await cutDenied({ ...cutting(one, victim), exec: closingNothing(lab.node.exec) })
      expect(result).toEqual({
        cut: 1,
        failed: 0,
        notes: ['1 TCP connections come back if their server sends first: their sockets could not be closed'],
      })
      const last = await messages('victim')
      await hear(neighbours, 40)
      expect(await messages('victim')).toBe(last)
    },
  )

  test.for(
    casesOf(
      ways.filter(({ name }) => name === 'to a process of the node'),
      'udp',
      true,
    ),
  )('$title: not claimed as cut, since the server goes on', async (one, { signal }) => {
    const { victim, hear, neighbours } = await open(one, signal)
    await deny(lab.node.exec, one.family, victim)
    expect(await cutDenied(cutting(one, victim))).toEqual({
      cut: 0,
      failed: 1,
      notes: ['1 connections other than TCP go on: one end keeps sending, which other rules allow'],
    })
    await hear(neighbours, 40)
  })

  test('a ping that goes on is cut, another is not', async () => {
    const [node] = addresses.ipv4.node
    const [source, other] = addresses.ipv4.outside
    for (const from of [source, other]) await lab.outside.exec('ping', ['-c', '1', '-I', from, node])
    const result = await cutDenied({
      exec: lab.node.exec,
      family: 'ipv4',
      node: { self, external: ['eth0'], named: [] },
      isDenied: ({ icmp, from }) => icmp?.type === 8 && from === source,
    })
    expect(result).toEqual({ cut: 1, failed: 0, notes: [] })
    expect([...(await tracked('ipv4'))]).toEqual([`1 ${other}  ${node} `])
  })

  test('zones: the entry of the same addresses in another zone stays', async () => {
    const tuple = [
      '-p',
      'udp',
      '-s',
      '198.51.100.10',
      '-d',
      '198.51.100.2',
      '--sport',
      '5000',
      '--dport',
      '53',
    ]
    for (const zone of ['0', '7']) await lab.node.exec('conntrack', ['-I', ...tuple, '-t', '60', '-w', zone])
    const both = [...(await listEntries(lab.node.exec, 'ipv4'))]
    await deleteEntries(
      lab.node.exec,
      both.filter(({ zone }) => zone === 7),
    )
    expect([...(await listEntries(lab.node.exec, 'ipv4'))].map(({ zone }) => zone)).toEqual([0])
  })

  test('an entry of the same addresses, but of another id than the one that was listed, stays', async () => {
    const tuple = [
      '-p',
      'udp',
      '-s',
      '198.51.100.10',
      '-d',
      '198.51.100.2',
      '--sport',
      '5000',
      '--dport',
      '53',
    ]
    await lab.node.exec('conntrack', ['-I', ...tuple, '-t', '60'])
    const listed = [...(await listEntries(lab.node.exec, 'ipv4'))]
    const older = listed.map((entry) => ({ ...entry, id: ((entry.id ?? 0) ^ 1) >>> 0 }))
    await deleteEntries(lab.node.exec, older)
    expect(await tracked('ipv4')).toEqual(new Set(['17 198.51.100.10 5000 198.51.100.2 53']))
    await deleteEntries(lab.node.exec, listed)
    expect(await tracked('ipv4')).toEqual(new Set())
  })

  test.each(families)('namespaces of pods are found among all there are, %s', async (family) => {
    const [, address] = addresses[family].pod
    const found = await createFindNamespaces(lab.node.exec)(new Set([address, '192.0.2.250']))
    expect(found.get(lab.pod.pid)).toEqual(new Set([address]))
    expect(found.has(lab.outside.pid)).toBe(false)
  })

  test.each([
    ['conntrack', 0],
    ['perl', 1],
  ])('a program that is missing is a note: %s', async (missing, failed) => {
    const [source] = addresses.ipv4.outside
    const dial: Dial = { protocol: 'tcp', source, address: addresses.ipv4.node[0], port: 22 }
    await lab.outside.tell({ kind: 'open', name: 'victim', dial })
    const exec: Exec = async (program, args, options) => {
      if (program === missing)
        throw new CommandError(`running ${program}: it could not be started`, { cause: missing })
      return lab.node.exec(program, args, options)
    }
    const one: Case = { way: ways[0] as Way, family: 'ipv4', protocol: 'tcp', chatty: false }
    expect(await cutDenied({ ...cutting(one, dial), exec })).toEqual({
      cut: 0,
      failed,
      notes: [`standing connections were not cut: running ${missing}: it could not be started`],
    })
  })
})

async function endedProcess(): Promise<number> {
  const child = execa('true')
  await child
  return child.pid ?? 0
}
