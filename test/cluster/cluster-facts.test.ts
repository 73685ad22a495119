import { expect, test } from 'vitest'
import { watchClusterFacts } from '../../agent/cluster/cluster-facts.ts'
import { parseCidr } from '../../agent/ruleset/address.ts'
import { AGENT_RULES } from './api-server/agent-identity.ts'
import { NODES } from './api-server/resources.ts'
import {
  agents,
  all,
  apiServers,
  createTime,
  follow,
  lookAgain,
  NODE,
  path,
  settings,
  startCluster,
  untilSeen,
  untilTried,
} from './facts-fixture.ts'
import { until } from './own-node-fixture.ts'

test('all slices of both families are one set, sorted, with each address once', async () => {
  const server = await startCluster()
  server.slices.put(agents('ipv4-more', ['10.88.0.9', '10.88.0.11']))
  server.slices.put(agents('ipv6', ['fd88::12', 'fd88::11'], { addressType: 'IPv6' }))
  server.slices.put(agents('names', ['node.example.org'], { addressType: 'FQDN' }))
  server.slices.put(agents('empty', []))
  server.slices.put(agents('of-another-service', ['10.0.0.1'], { service: 'other' }))
  server.slices.put({ ...agents('elsewhere', ['10.0.0.2']), namespace: 'kube-system' })
  const time = createTime()
  const seen = follow(server, time, { podCidrs: [parseCidr('10.99.0.0/16'), parseCidr('10.244.1.0/24')] })
  await untilSeen(seen, time, {
    ...all,
    nodes: ['10.88.0.11', '10.88.0.12', '10.88.0.9', 'fd88::11', 'fd88::12'],
    podCIDRs: ['10.244.1.0/24', '10.99.0.0/16', 'fd44:1::/64'],
  })
  expect(seen.errors).toEqual([])
})

test('what was not read yet is absent, and does not hold up the rest', async () => {
  const server = await startCluster()
  server.slices.remove('node-firewall', 'ipv4')
  server.slices.remove('default', 'kubernetes')
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, { podCIDRs: all.podCIDRs })
  await until(() => expect(seen.errors).toHaveLength(2))
  expect(seen.errors.map(({ message }) => message).toSorted()).toEqual([
    `LIST ${path('default')}: found no address of the Service kubernetes, expected at least one`,
    `LIST ${path('node-firewall')}: found no address of the Service node-firewall, expected at least one`,
  ])
})

test('a change of the API servers is seen at once', async () => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, all)
  await until(() => expect(server.openWatches()).toBe(1))
  time.pass(250)
  const before = time.clock.now()
  server.slices.put(apiServers(['10.88.0.2', '10.88.0.1'], 443))
  await until(() => expect(seen.last().apiServers).toEqual(['10.88.0.1', '10.88.0.2']))
  expect(seen.last()).toMatchObject({ at: before, apiServerPorts: [443, 6443] })
})

test('an API server that is gone is kept as long, and its port too', async () => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time, { keepMs: 100_000 })
  await untilSeen(seen, time, all)
  await until(() => expect(server.openWatches()).toBe(1))
  server.slices.put(apiServers(['10.88.0.2'], 443))
  await untilSeen(seen, time, { apiServers: ['10.88.0.1', '10.88.0.2'], apiServerPorts: [443, 6443] })
  const both = seen.last().at
  while (seen.last().apiServers?.length === 2) await lookAgain(server, time)
  expect(seen.last()).toMatchObject({ apiServers: ['10.88.0.2'], apiServerPorts: [443] })
  expect(seen.last().at).toBeGreaterThanOrEqual(both + 99_000)
})

test('no answer empties a set: what is left without an address stays as it was, and is reported once', async () => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, all)
  await until(() => expect(server.openWatches()).toBe(1))
  const announced = seen.facts.length
  server.slices.put(agents('ipv4', []))
  server.slices.put(apiServers([]))
  for (let looks = 0; looks < 25; looks += 1) await lookAgain(server, time)
  await until(() => expect(seen.errors).toHaveLength(2))
  expect(seen.facts).toHaveLength(announced)
  server.slices.put(agents('ipv4', ['10.88.0.12', '10.88.0.13']))
  await lookAgain(server, time)
  await untilSeen(seen, time, { nodes: ['10.88.0.11', '10.88.0.12', '10.88.0.13'] })
})

test('a server that goes away and comes back: the last facts stay, and no change is lost', async () => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, all)
  await until(() => expect(server.openWatches()).toBe(1))
  // A watch that is cut after so long is no failure; it is when it comes to nothing.
  time.pass(10_000)
  const announced = seen.facts.length
  server.faults.stop()
  server.slices.put(agents('ipv4', ['10.88.0.11', '10.88.0.12', '10.88.0.13']))
  server.slices.put(apiServers(['10.88.0.1', '10.88.0.2']))
  await untilTried(time, () => expect(seen.errors).toHaveLength(2))
  expect(seen.errors.map(({ failure }) => failure)).toEqual(['connection', 'connection'])
  expect(seen.facts).toHaveLength(announced)
  await server.faults.acceptConnections()
  await untilSeen(
    seen,
    time,
    {
      ...all,
      nodes: ['10.88.0.11', '10.88.0.12', '10.88.0.13'],
      apiServers: ['10.88.0.1', '10.88.0.2'],
    },
    1000,
  )
})

test.each([
  ['node-firewall', { apiServers: all.apiServers, podCIDRs: all.podCIDRs }, 'list'],
  ['default', { nodes: all.nodes, podCIDRs: all.podCIDRs }, 'list'],
])('without the right to see slices in %s the rest is there', async (namespace, rest, verb) => {
  const server = await startCluster({ rules: AGENT_RULES.filter((rule) => rule.namespace !== namespace) })
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, rest)
  await until(() => expect(seen.errors).toHaveLength(1))
  expect(seen.errors[0]?.message).toMatch(
    new RegExp(
      `^LIST .* 403 Forbidden .* cannot ${verb} resource "endpointslices" .* namespace "${namespace}"`,
    ),
  )
  expect(Object.keys(seen.last())).not.toContain(namespace === 'default' ? 'apiServers' : 'nodes')
})

test('a right that is taken away later is reported once, and the last value stays', async () => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, all)
  await until(() => expect(server.openWatches()).toBe(1))
  time.pass(10_000)
  const announced = seen.facts.length
  const rules = AGENT_RULES.filter(({ namespace }) => namespace === undefined)
  await server.rotateToken(rules)
  server.slices.put(agents('ipv4', ['10.88.0.99']))
  server.faults.cutWatches()
  const before = server.requests.length
  await untilTried(time, () => {
    expect(server.requests.length - before).toBeGreaterThan(20)
    expect(seen.errors.length).toBeGreaterThan(1)
  })
  expect(seen.errors.map(({ status }) => status)).toEqual([403, 403])
  expect(seen.facts).toHaveLength(announced)
})

test('a Node that has no pod CIDR yet is asked again, and never once it has', async () => {
  const server = await startCluster()
  server.deleteNode(NODE)
  server.createNode(NODE)
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, { ...all, podCIDRs: [] })
  server.store.replace(NODES, { ...server.getNode(NODE), spec: { podCIDRs: ['10.244.7.0/24'] } })
  await untilSeen(seen, time, { podCIDRs: ['10.244.7.0/24'] }, 1000)
  for (let looks = 0; looks < 25; looks += 1) await lookAgain(server, time)
  const reads = server.requests.filter((request) => request.path === `/api/v1/nodes/${NODE}`)
  expect(reads).toHaveLength(2)
})

test('a handler that throws is a bug, and ends all', async () => {
  const server = await startCluster()
  const handlers = {
    onChange() {
      if (server.openWatches() === 1) throw new Error('a bug in the handler')
    },
    onError() {},
  }
  const time = createTime()
  const options = { ...settings(server), clock: time.clock }
  const ended = watchClusterFacts(options, handlers, new AbortController().signal)
  const caught = ended.catch((error: unknown) => error)
  await until(() => expect(server.openWatches()).toBe(1))
  server.slices.put(apiServers(['10.88.0.2']))
  await until(() => {
    time.pass(250)
    expect(server.openWatches()).toBe(0)
  })
  expect(await caught).toMatchObject({ message: 'a bug in the handler' })
})

test('an abort ends it and leaves no connection behind', async () => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, all)
  await until(() => expect(server.openWatches()).toBe(1))
  await seen.stop()
  await until(() => expect(server.openWatches()).toBe(0))
  expect(seen.errors).toEqual([])
})
