import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { findAccess } from '../../agent/cluster/access.ts'
import { connectClient } from '../../agent/cluster/api-client.ts'
import type { ApiClient } from '../../agent/cluster/api-client.ts'
import { ApiError } from '../../agent/cluster/api-error.ts'
import { removeStartupTaint, startupTaint } from '../../agent/cluster/startup-taint.ts'
import { NODES } from './api-server/resources.ts'
import type { ApiServer } from './api-server.ts'
import { NODE, startServer } from './own-node-fixture.ts'

type Taint = {
  readonly key: string
  readonly effect: string
  readonly value?: string
  readonly timeAdded?: string
}

const own: Taint = { key: startupTaint, effect: 'NoSchedule' }
const ownToo: Taint = { key: startupTaint, effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z' }
const cordoned: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
const cloud: Taint = {
  key: 'node.cloudprovider.kubernetes.io/uninitialized',
  value: 'true',
  effect: 'NoSchedule',
}
const alike: Taint = { key: `${startupTaint}-yet`, effect: 'NoSchedule' }

function clientOf(server: ApiServer): ApiClient {
  const env = { KUBERNETES_SERVICE_HOST: server.host, KUBERNETES_SERVICE_PORT: String(server.port) }
  const getAccess = findAccess(env, server.serviceAccountDir)
  return connectClient({ getAccess, userAgent: 'node-firewall', timeoutMs: 5_000, silenceMs: 5_000 })
}

function setTaints(server: ApiServer, taints: readonly Taint[] | undefined): void {
  server.store.replace(NODES, { ...server.getNode(NODE), spec: taints === undefined ? {} : { taints } })
}

const taintsOf = (server: ApiServer) =>
  z.object({ taints: z.array(z.unknown()).default([]) }).parse(server.getNode(NODE)['spec']).taints
const patches = (server: ApiServer) => server.requests.filter(({ method }) => method === 'PATCH')

describe('the taint that nodes join with', () => {
  test.each<[string, readonly Taint[], readonly Taint[]]>([
    ['alone', [own], []],
    ['before others', [own, cordoned, cloud], [cordoned, cloud]],
    ['between others', [cordoned, own, cloud], [cordoned, cloud]],
    ['after others', [cordoned, cloud, own], [cordoned, cloud]],
    ['with two effects', [own, cloud, ownToo, alike], [cloud, alike]],
  ])('goes, and no other: %s', async (_name, taints, expected) => {
    const server = await startServer()
    setTaints(server, taints)
    expect(await removeStartupTaint(NODE, clientOf(server))).toBe(true)
    expect(taintsOf(server)).toEqual(expected)
    expect(patches(server)).toHaveLength(1)
  })

  test.each<[string, readonly Taint[] | undefined]>([
    ['there are none', undefined],
    ['the list is empty', []],
    ['there are others', [cordoned, alike]],
  ])('nothing is written if it is not there: %s', async (_name, taints) => {
    const server = await startServer()
    setTaints(server, taints)
    const { resourceVersion } = server.getNode(NODE).metadata
    expect(await removeStartupTaint(NODE, clientOf(server))).toBe(false)
    expect(server.requests.map(({ method }) => method)).toEqual(['GET'])
    expect(server.getNode(NODE).metadata.resourceVersion).toBe(resourceVersion)
  })

  /** Something of others happens between the reading and the patch, as often as there are changes. */
  const racing = (server: ApiServer, changes: readonly (readonly Taint[])[]): ApiClient => {
    const client = clientOf(server)
    const left = [...changes]
    return {
      ...client,
      async json(request, signal) {
        const answer = await client.json(request, signal)
        const next = request.method === 'GET' ? left.shift() : undefined
        if (next !== undefined) setTaints(server, next)
        return answer
      },
    }
  }

  test.each<[string, (readonly Taint[])[], readonly Taint[]]>([
    ['is put before it', [[cordoned, own]], [cordoned]],
    ['is taken away before it', [[own]], []],
    [
      'comes and goes',
      [
        [own, cloud],
        [cordoned, cloud, own],
      ],
      [cordoned, cloud],
    ],
  ])(
    'goes when another taint %s at the same moment, and that one stays',
    async (_name, changes, expected) => {
      const server = await startServer()
      setTaints(server, [cloud, own])
      expect(await removeStartupTaint(NODE, racing(server, changes))).toBe(true)
      expect(taintsOf(server)).toEqual(expected)
    },
  )

  test('is gone when somebody else was faster', async () => {
    const server = await startServer()
    setTaints(server, [own, cordoned])
    await removeStartupTaint(NODE, racing(server, [[cordoned]]))
    expect(taintsOf(server)).toEqual([cordoned])
  })

  test('a list that never stands still is given up, and said', async () => {
    const server = await startServer()
    setTaints(server, [own])
    const restless = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? [cloud, own] : [own, cloud]))
    await expect(removeStartupTaint(NODE, racing(server, restless))).rejects.toThrow(/PATCH .*422/)
    expect(patches(server)).toHaveLength(5)
  })

  test('of a Node that is not its own: refused, and not tried again', async () => {
    const server = await startServer({ node: 'worker-2', real: false })
    setTaints(server, [own])
    await expect(removeStartupTaint(NODE, clientOf(server))).rejects.toThrow(
      /403 Forbidden .* an agent on node "worker-2" may not write to node "worker-1"/,
    )
    expect(taintsOf(server)).toEqual([own])
    expect(patches(server)).toHaveLength(1)
  })

  test.each([
    [
      'without rights',
      async (server: ApiServer) => server.rotateToken([{ verbs: ['get'], resources: ['nodes'] }]),
      403,
    ],
    ['without a Node', async (server: ApiServer) => server.deleteNode(NODE), 404],
  ])('%s the answer of the server is told', async (_name, prepare, status) => {
    const server = await startServer()
    setTaints(server, [own])
    await prepare(server)
    const failure: unknown = await removeStartupTaint(NODE, clientOf(server)).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ApiError)
    expect(failure).toMatchObject({ status })
  })
})
