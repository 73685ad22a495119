import { expect, test } from 'vitest'
import type { ApiServer } from './api-server.ts'
import { agents, all, createTime, follow, lookAgain, path, startCluster, untilSeen } from './facts-fixture.ts'

test('nothing new: a look is one LIST of names from the cache, and nothing is announced', async () => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, all)
  const announced = seen.facts.length
  const requests = await lookAgain(server, time)
  expect(requests.map(({ verb }) => verb)).toEqual(['list'])
  expect(requests[0]?.headers['accept']).toContain('as=PartialObjectMetadataList;')
  expect(Object.fromEntries(requests[0]?.query ?? [])).toEqual({
    labelSelector: 'kubernetes.io/service-name=node-firewall',
    resourceVersion: '0',
  })
  expect(seen.facts).toHaveLength(announced)
})

test('a new node is known after one look, for which only its slice is read', async () => {
  const server = await startCluster()
  for (let index = 0; index < 9; index += 1) server.slices.put(agents(`more-${index}`, [`10.88.1.${index}`]))
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, { nodes: expect.arrayContaining(['10.88.1.8']) })
  server.slices.put(agents('ipv4', ['10.88.0.11', '10.88.0.12', '10.88.0.13']))
  const requests = await lookAgain(server, time)
  expect(requests.map(({ verb, path }) => `${verb} ${path}`)).toEqual([
    `list ${path('node-firewall')}`,
    `get ${path('node-firewall')}/ipv4`,
  ])
  await untilSeen(seen, time, { nodes: expect.arrayContaining(['10.88.0.13', '10.88.1.0']) })
})

test('after a change of many slices they are read at once, but not often', async () => {
  const server = await startCluster()
  const put = (third: number) => {
    for (let index = 0; index < 50; index += 1) {
      server.slices.put(agents(`many-${index}`, [`10.88.${third}.${index}`]))
    }
  }
  put(1)
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, { nodes: expect.arrayContaining(['10.88.1.49']) })
  const verbs: string[][] = []
  for (let looks = 1; looks <= 12; looks += 1) {
    put(1 + looks)
    verbs.push((await lookAgain(server, time)).map(({ verb }) => verb))
  }
  // 51 slices may be read again after 153 s, which is every sixth look.
  const quiet = Array.from({ length: 5 }, () => ['list'])
  expect(verbs).toEqual([...quiet, ['list', 'list'], ...quiet, ['list', 'list']])
  await untilSeen(seen, time, { nodes: expect.arrayContaining(['10.88.7.49', '10.88.13.0']) })
  expect(seen.errors).toEqual([])
})

test('an agent that restarts stays: its address is gone and back within the time', async () => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, all)
  const announced = seen.facts.length
  server.slices.put(agents('ipv4', ['10.88.0.11']))
  await lookAgain(server, time)
  server.slices.put(agents('ipv4', ['10.88.0.12', '10.88.0.11']))
  for (let looks = 0; looks < 25; looks += 1) await lookAgain(server, time)
  expect(seen.facts).toHaveLength(announced)
})

test.each([
  ['leaves its slice', (server: ApiServer) => server.slices.put(agents('ipv4', ['10.88.0.11']))],
  [
    'goes with its slice',
    (server: ApiServer) => {
      server.slices.put(agents('other', ['10.88.0.11']))
      server.slices.remove('node-firewall', 'ipv4')
    },
  ],
])('an address that %s is kept for 10 minutes', async (_, change) => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, all)
  change(server)
  await lookAgain(server, time)
  const vanished = time.clock.now()
  while (time.clock.now() < vanished + 570_000) await lookAgain(server, time)
  expect(seen.last().nodes).toEqual(all.nodes)
  await lookAgain(server, time)
  await untilSeen(seen, time, { nodes: ['10.88.0.11'] })
})

test('a slice that goes between its LIST and its GET is no failure', async () => {
  const server = await startCluster()
  const time = createTime()
  const seen = follow(server, time)
  await untilSeen(seen, time, all)
  server.faults.answerNext(1, { status: 404, verb: 'get' })
  server.slices.put(agents('new', ['10.88.0.13']))
  expect((await lookAgain(server, time)).map(({ status }) => status)).toEqual([200, 404])
  await lookAgain(server, time)
  await untilSeen(seen, time, { nodes: ['10.88.0.11', '10.88.0.12', '10.88.0.13'] })
  expect(seen.errors).toEqual([])
})
