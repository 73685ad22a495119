import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createHttp } from './http-client.ts'
import { only, refusal } from './suite.ts'
import type { Suite } from './suite.ts'

/** What a client meets that was cut off, or whose token has ended. */
export function reconnectsConform(suite: Suite): void {
  const { annotate, call, createNode, target, watch } = suite

  test('a watch whose connection is cut goes on from the version it saw, and misses nothing', async () => {
    const { name, version } = await createNode()
    const wire = await openWire(target().url)
    const http = createHttp(wire.url, target().caFile)
    const options = { token: target().tokens.agent }
    const path = (resourceVersion: string) => `${only(name, { resourceVersion })}&watch=true`
    const first = await http.watch(path(version), options)
    await annotate(name, { 'example.org/a': '1' })
    const seen = (await first.next())?.object.metadata?.resourceVersion ?? ''
    wire.cut()
    await expect(first.rest()).rejects.toThrow(/aborted|last chunk/)
    await annotate(name, { 'example.org/a': '2' })
    await annotate(name, { 'example.org/a': '3' })
    const second = await http.watch(path(seen), options)
    for (const value of ['2', '3']) {
      const event = await second.next()
      expect(event).toMatchObject({
        type: 'MODIFIED',
        object: { metadata: { annotations: { 'example.org/a': value } } },
      })
    }
    second.stop()
  })

  test('a server that goes away and comes back: all is there, and a watch begins with a new list', async () => {
    const { name, uid, version } = await createNode()
    const patched = await annotate(name, { 'example.org/a': '1' })
    await createNode()
    const watching = await watch(only(name, { resourceVersion: await suite.versionNow() }))
    const end = watching.rest().then(() => 'in order', String)
    await target().away(async () => {
      expect(await end).toMatch(/aborted|last chunk/)
      await expect(call('GET', only(name))).rejects.toThrow('ECONNREFUSED')
    })
    const list = await call('GET', only(name))
    const { resourceVersion } = patched.body.metadata ?? {}
    expect(list.body.items).toMatchObject([{ metadata: { name, uid, resourceVersion } }])
    const old = await watch(only(name, { resourceVersion: version, timeoutSeconds: '5' }))
    expect(await old.rest()).toMatchObject([{ type: 'ERROR', object: { code: 410, reason: 'Expired' } }])
    const anew = await watch(
      only(name, { resourceVersion: list.body.metadata?.resourceVersion ?? '', timeoutSeconds: '10' }),
    )
    await annotate(name, { 'example.org/a': '2' })
    expect(await anew.next()).toMatchObject({
      type: 'MODIFIED',
      object: { metadata: { annotations: { 'example.org/a': '2' } } },
    })
    anew.stop()
  })

  test('a token that ends: 401 for the next request, and one that was asked for meanwhile is good', async () => {
    const { name } = await createNode()
    const path = `/api/v1/nodes/${name}`
    const [old, next] = [target().createToken(), target().createToken()]
    for (const { token } of [old, next]) expect((await call('GET', path, { token })).status).toBe(200)
    old.end()
    // A real server remembers for 10 s that a token was good.
    const late = { timeout: 30_000, interval: 100 }
    await expect.poll(async () => (await call('GET', path, { token: old.token })).status, late).toBe(401)
    expect(refusal(await call('GET', path, { token: old.token }))).toEqual([
      401,
      'Unauthorized',
      'Unauthorized',
    ])
    expect((await call('GET', path, { token: next.token })).status).toBe(200)
  })

  test('a watch outlives the token that it was opened with', async () => {
    const { name, version } = await createNode()
    const { token, end } = target().createToken()
    const watching = await watch(only(name, { resourceVersion: version, timeoutSeconds: '20' }), { token })
    end()
    await annotate(name, { 'example.org/a': '1' })
    expect(await watching.next()).toMatchObject({ type: 'MODIFIED', object: { metadata: { name } } })
    watching.stop()
  })
}

/** Another port for the server, by which its connections can be cut. */
async function openWire(url: string): Promise<{ url: string; cut: () => void }> {
  const ends = new Set<Socket>()
  const port = Number(new URL(url).port)
  const server = createServer((here) => {
    const there = connect(port, '127.0.0.1')
    for (const end of [here, there]) ends.add(end.on('error', () => end.destroy()))
    here.pipe(there).pipe(here)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const end of ends) end.destroy()
    ends.clear()
  }
  onTestFinished(() => {
    cut()
    server.close()
  })
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server that listens has an AddressInfo
  const address = server.address() as AddressInfo
  return { url: `https://127.0.0.1:${address.port}`, cut }
}
