import { describe, expect, onTestFinished, test } from 'vitest'
import { OutsideError } from '../../agent/errors.ts'
import type { Rule } from './api-server/access-control.ts'
import { createCredentialFiles } from './api-server/credentials.ts'
import { PODS } from './api-server/resources.ts'
import type { ApiServer } from './api-server.ts'
import { NODE, until } from './own-node-fixture.ts'
import { POD, REQUESTS, failureOf, probeOf, probesOf, startWorking } from './probes-fixture.ts'
import { startKubelet } from './real/kubelet.ts'

const never = new AbortController().signal
const names = ['api server', 'lease', 'kubelet log'] as const

test('three probes, and without the name of the own pod two', async () => {
  const server = await startWorking()
  expect(probesOf(server).map(({ name }) => name)).toEqual(names)
  expect(probesOf(server, { podName: undefined }).map(({ name }) => name)).toEqual(names.slice(0, 2))
})

describe.each(names)('%s', (name) => {
  test('passes where everything works, with the rights of the manifest and one connection', async () => {
    const server = await startWorking()
    await probeOf(server, name).before(never)
    expect(server.requests.map(({ method, path, status }) => [`${method} ${path}`, status])).toEqual([
      [REQUESTS[name], 200],
    ])
  })

  test.each([
    ['403: no right', { status: 403 }, ': 403 Forbidden '],
    ['404: not there', { status: 404 }, ': 404 '],
    ['409', { status: 409 }, ': 409 Conflict '],
    [
      '429: overload',
      { status: 429, retryAfterSeconds: 1 },
      ': 429 Too many requests, please try again later.',
    ],
    ['500', { status: 500 }, ': 500 InternalError Internal error occurred: etcdserver'],
    ['503', { status: 503 }, ': 503 ServiceUnavailable '],
    ['half a body', { body: 'half' }, ': the answer broke off'],
  ] as const)('%s: rejects, and names the request', async (_, fault, why) => {
    const server = await startWorking()
    server.faults.answerNext(1, fault)
    const error = await failureOf(probeOf(server, name).before(never))
    expect(error).toBeInstanceOf(OutsideError)
    expect(String(error)).toContain(REQUESTS[name] + why)
  })

  test('a token that was rotated meanwhile is read again, two 401 reject', async () => {
    const server = await startWorking()
    const probe = probeOf(server, name)
    server.faults.answerNext(1, { status: 401 })
    await probe.before(never)
    server.faults.answerNext(2, { status: 401 })
    expect(String(await failureOf(probe.before(never)))).toContain(`${REQUESTS[name]}: 401 Unauthorized`)
  })

  test('no rights: 403 names the resource', async () => {
    const server = await startWorking({ rules: [] })
    const error = await failureOf(probeOf(server, name).before(never))
    expect(String(error)).toContain(`${REQUESTS[name]}: 403 Forbidden`)
  })

  test('nobody listens', async () => {
    const server = await startWorking()
    server.faults.refuseConnections()
    const error = await failureOf(probeOf(server, name).after(never))
    expect(error).toBeInstanceOf(OutsideError)
    expect(String(error)).toContain(`${REQUESTS[name]}: no connection: ECONNREFUSED`)
  })

  test('an answer that does not come in time', async () => {
    const server = await startWorking()
    server.faults.goSilent()
    const error = await failureOf(probeOf(server, name, { timeoutMs: 50 }).after(never))
    expect(String(error)).toContain(`${REQUESTS[name]}: nothing came for 0.05 s`)
  })

  test('an attempt that is cut short is an OutsideError, too', async () => {
    const server = await startWorking()
    server.faults.goSilent()
    const deadline = new AbortController()
    const attempt = failureOf(probeOf(server, name).after(deadline.signal))
    await until(() => expect(server.requests).toHaveLength(1))
    deadline.abort()
    const error = await attempt
    expect(error).toBeInstanceOf(OutsideError)
    expect(String(error)).toContain(`${REQUESTS[name]}: no answer in time`)
  })
})

test.each(['api server', 'kubelet log'])('%s: after a change it asks over a new connection', async (name) => {
  const server = await startWorking()
  const probe = probeOf(server, name)
  await probe.before(never)
  await probe.after(never)
  expect(new Set(server.requests.map(({ clientPort }) => clientPort)).size).toBe(2)
})

describe('kubelet log', () => {
  test('asks for one byte of the agent, and an empty log is as good', async () => {
    const server = await startWorking()
    server.kubelet.log = ''
    await probeOf(server, 'kubelet log').before(never)
    expect(server.requests[0]?.query.toString()).toBe('container=agent&tailLines=1&limitBytes=1')
  })

  test('a kubelet that listens, and then does not', async () => {
    const server = await startWorking()
    const { port, stop } = await startOtherKubelet(server)
    server.objects.setKubelet(NODE, '127.0.0.1', port)
    const probe = probeOf(server, 'kubelet log')
    await probe.before(never)
    stop()
    const query = '?limitBytes=1&tailLines=1'
    const url = `https://127.0.0.1:${port}/containerLogs/node-firewall/${POD}/agent${query}`
    expect(String(await failureOf(probe.after(never)))).toContain(
      `${REQUESTS['kubelet log']}: 500 Get "${url}": dial tcp 127.0.0.1:${port}: connect: connection refused`,
    )
  })

  test('the pod is gone', async () => {
    const server = await startWorking()
    const pod = server.store.get(PODS, 'node-firewall', POD)
    if (pod !== undefined) server.store.remove(PODS, pod)
    expect(String(await failureOf(probeOf(server, 'kubelet log').after(never)))).toContain(
      `${REQUESTS['kubelet log']}: 404 NotFound pods "${POD}" not found`,
    )
  })

  test('the right to read pods is none to read their logs', async () => {
    const rules: Rule[] = [{ verbs: ['get'], resources: ['pods'] }]
    const server = await startWorking({ rules })
    expect(String(await failureOf(probeOf(server, 'kubelet log').before(never)))).toContain(
      'cannot get resource "pods/log" in API group "" in the namespace "node-firewall"',
    )
  })
})

async function startOtherKubelet(server: ApiServer) {
  const files = await createCredentialFiles()
  const { port, close } = await startKubelet(files.key, files.certificate, server.kubelet)
  onTestFinished(async () => {
    close()
    await files.remove()
  })
  return { port, stop: close }
}
