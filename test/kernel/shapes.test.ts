import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { usableBackends } from '../sandbox/backends.ts'
import { clusterAddress } from '../sandbox/cluster-addresses.ts'
import { createCluster } from '../sandbox/cluster.ts'
import type { Cluster } from '../sandbox/cluster.ts'
import { observe } from '../sandbox/observe.ts'
import type { Observer } from '../sandbox/observe.ts'
import { rawShapes } from '../sandbox/raw-shapes.ts'
import { sendShapes } from '../sandbox/send-shapes.ts'
import { enforce, rulesetOf } from './enforce.ts'
import { translated, translatePorts } from './translated-ports.ts'

/** Where shapes go, the first of the ports they go to, and what a ruleset calls that way. */
const targets = {
  'the node': { destination: clusterAddress.node, firstPort: 40_000, endpoint: 'node', flow: 'ingress' },
  'node ports': {
    destination: clusterAddress.node,
    firstPort: translated.first,
    endpoint: 'node',
    flow: 'ingress',
  },
  pods: { destination: clusterAddress.pod, firstPort: 50_000, endpoint: 'pods', flow: 'podIngress' },
} as const
type Target = keyof typeof targets
const targetNames = Object.keys(targets) as Target[]

/** A way to close the ports that shapes go to, and to leave them open. */
type Closing = {
  readonly name: string
  readonly default?: 'drop' | 'reject'
  /** Rules without what they all have; `ports` are those that the shapes go to. */
  readonly rules: (open: boolean, ports: string) => readonly object[]
}

const overTcpAndUdp = { protocol: ['tcp', 'udp'] }

const closings: readonly Closing[] = [
  ...(['drop', 'reject'] as const).map((action) => ({
    name: `the default is ${action}`,
    default: action,
    rules: (open: boolean, ports: string) =>
      open ? [{ action: 'accept', ...overTcpAndUdp, ports: [ports] }] : [],
  })),
  {
    name: 'a list says who may use these ports',
    default: 'drop',
    rules: (open, ports) => [
      { action: 'accept', ...overTcpAndUdp, ports: [ports], from: [open ? 'withSender' : 'others'] },
    ],
  },
  {
    name: 'a list says who may come in',
    default: 'reject',
    rules: (open) => [{ action: 'accept', from: [open ? 'withSender' : 'others'] }],
  },
  {
    name: 'a list says who may not come in',
    rules: (open) => [{ action: 'drop', from: [open ? 'others' : 'withSender'] }],
  },
  {
    name: 'a rule denies these ports',
    rules: (open, ports) => [{ action: 'drop', ...overTcpAndUdp, ports: [open ? '1-9' : ports] }],
  },
]

/** Long enough to become kernel sets. */
const others = Array.from({ length: 20 }, (_, index) => [
  `100.64.${index}.0/25`,
  `2001:db8:64:${index}::/65`,
]).flat()
const sets = { others, withSender: [...others, ...Object.values(clusterAddress.internet)] }

describe.each(await usableBackends())('shapes of packets on iptables-%s', (backend) => {
  let cluster: Cluster
  let observer: Observer
  /** What passes when nothing filters. */
  const unfiltered = new Map<Target, readonly string[]>()
  let times = 0

  beforeAll(async () => {
    cluster = await createCluster({ backend })
    await translatePorts(cluster, backend)
    observer = await observe(cluster.node)
    for (const target of targetNames) unfiltered.set(target, await send(target, choosePorts(target).first))
  })
  afterAll(async () => cluster.close())

  /** Ports of their own, each time: what conntrack knows of earlier shapes is no help to later ones. */
  const choosePorts = (target: Target) => {
    const first = targets[target].firstPort + times * 200
    times += 1
    return { first, text: `${first}-${first + 199}` }
  }
  /** Names of the shapes that come past the filter table, whichever way and to whichever port. */
  const send = async (target: Target, firstPort: number) => {
    const sent = await sendShapes({
      from: cluster.internet,
      source: clusterAddress.internet,
      destination: targets[target].destination,
      observer: lookEverywhere(observer),
      place: 'input',
      firstPort,
    })
    return sent.filter(({ passed }) => passed).map(({ family, name }) => `${family}, ${name}`)
  }
  const put = async (closing: Closing, target: Target, open: boolean, ports: string) => {
    const { endpoint, flow } = targets[target]
    const spec = {
      sets,
      rules: closing.rules(open, ports).map((rule, index) => ({ name: `rule ${index}`, endpoint, ...rule })),
      ...(closing.default === undefined ? {} : { defaults: { [flow]: closing.default } }),
    }
    await enforce(cluster.node, backend, rulesetOf(spec))
  }

  describe.each(targetNames)('%s', (target) => {
    test('most pass without a firewall', () => {
      expect(unfiltered.get(target)?.length).toBeGreaterThan(rawShapes().length * 0.75)
    })

    test.each(closings)('$name', async (closing) => {
      const open = choosePorts(target)
      await put(closing, target, true, open.text)
      expect(await send(target, open.first)).toEqual(unfiltered.get(target))
      const closed = choosePorts(target)
      await put(closing, target, false, closed.text)
      expect(await send(target, closed.first)).toEqual([])
    })
  })
})

/** Whatever is asked for behind the filter table: what went to the node or through it, translated or not. */
function lookEverywhere(observer: Observer): Observer {
  return {
    ...observer,
    async read() {
      const { at } = await observer.read()
      return {
        at: (place, protocol, port) =>
          place === 'arrival'
            ? at(place, protocol, port)
            : at('input', protocol, port) +
              at('forward', protocol, port) +
              at('forward', protocol, port - translated.lowerBy),
      }
    },
  }
}
