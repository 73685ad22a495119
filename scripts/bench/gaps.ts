import { setTimeout as pause } from 'node:timers/promises'
import { backends } from '../../agent/netfilter/backend.ts'
import type { Backend } from '../../agent/netfilter/backend.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import { nodeAddress } from '../../test/sandbox/sandbox.ts'
import type { Sandbox } from '../../test/sandbox/sandbox.ts'
import { createKeeper } from './keeper.ts'
import { createNaive } from './naive.ts'
import { countPackets, createCounters } from './packet-counters.ts'
import { closedPort, openPorts, withOpenPorts } from './open-ports.ts'
import type { Row } from './row.ts'
import { withSandbox } from './workshop.ts'

const reapplies = 50

/** Applies one of two rulesets; both have the same ports open. */
type Apply = (round: number) => Promise<unknown>

type Way = {
  readonly name: string
  readonly create: (sandbox: Sandbox, backend: Backend) => Promise<Apply>
  /** Whether not one packet may go wrong. */
  readonly expectsNone: boolean
  /** What meets no rule is dropped, so that only what is kept out can go wrong. */
  readonly closed: boolean
}

const texts = [withOpenPorts('a'), withOpenPorts('b')]

const ways: readonly Way[] = [
  {
    name: 'agent',
    async create({ node }, backend) {
      const keep = await createKeeper(node, backend)
      return async (round) => keep(texts[round % 2] ?? '')
    },
    expectsNone: true,
    closed: false,
  },
  {
    name: 'script that flushes',
    create: async ({ node }, backend) => createNaive(node, backend, texts, 'ACCEPT'),
    expectsNone: false,
    closed: false,
  },
  {
    name: 'script that flushes, policy DROP',
    create: async ({ node }, backend) => createNaive(node, backend, texts, 'DROP'),
    expectsNone: false,
    closed: true,
  },
]

/**
 * Packets that go wrong while rules change 50 times in both families: datagrams sent as fast as can be to a closed
 * port that get through, and datagrams to open ports, each sent when the last was answered, that get no answer.
 */
export async function measureGaps(): Promise<Row[]> {
  const rows: Row[] = []
  for (const backend of backends) {
    for (const { name, create, expectsNone, closed } of ways) {
      const { arrived, letIn, echoed, keptOut } = await withSandbox(async (sandbox) =>
        measureWay(sandbox, backend, await create(sandbox, backend)),
      )
      const what = `${reapplies} re-applies under load, ${backend}, ${name}`
      const kept = `${keptOut.toLocaleString('en')} of ${(echoed + keptOut).toLocaleString('en')} kept out`
      const measured = closed
        ? kept
        : `${letIn.toLocaleString('en')} of ${arrived.toLocaleString('en')} let in, ${kept}`
      console.log(`  ${what}: ${measured}`)
      const met = letIn === 0 && keptOut === 0
      rows.push(expectsNone ? { what, measured, target: '0 and 0', met } : { what, measured })
    }
  }
  return rows
}

async function measureWay(sandbox: Sandbox, backend: Backend, apply: Apply) {
  const { node, internet, private: friend } = sandbox
  await apply(0)
  await createCounters(node, backend, closedPort)
  for (const port of openPorts) await node.listen('udp', port)
  const blasts = families.map(async (family) => internet.stream(nodeAddress[family], closedPort, 'blast'))
  const echoes = families.flatMap((family) =>
    openPorts.map(async (port) => friend.stream(nodeAddress[family], port, 'echo')),
  )
  const streams = { blasts: await Promise.all(blasts), echoes: await Promise.all(echoes) }
  await pause(100)
  for (let round = 1; round <= reapplies; round += 1) await apply(round)
  await pause(100)
  await Promise.all(streams.blasts.map(async (stream) => stream.stop()))
  const counts = await Promise.all(streams.echoes.map(async (stream) => stream.stop()))
  const packets = await Promise.all(
    families.map(async (family: Family) => countPackets(node, backend, family)),
  )
  return {
    arrived: sum(packets.map(({ arrived }) => arrived)),
    letIn: sum(packets.map(({ letIn }) => letIn)),
    echoed: sum(counts.map(({ answered }) => answered)),
    keptOut: sum(counts.map(({ lost }) => lost)),
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
