import { expect, test } from 'vitest'
import type { ClusterSide } from '../../agent/daemon/agent-options.ts'
import { countWrites } from '../../agent/daemon/count-writes.ts'
import { rolledBack, tell } from '../cluster/events-fixture.ts'
import { connect, startServer, until } from '../cluster/own-node-fixture.ts'
import type { ApiServer } from '../cluster/api-server.ts'

/** What of the cluster writes to it. */
function counted(server: ApiServer, nodeName?: string) {
  const writes: string[] = []
  const side = {
    node: connect(server, nodeName === undefined ? {} : { nodeName }),
    openEvents: (_: unknown, onAttempt = () => {}) => tell(server, { onAttempt }),
  } as unknown as ClusterSide
  const { node, openEvents } = countWrites(side, (object, result) => void writes.push(`${object} ${result}`))
  return { writes, node, openEvents }
}

test('patches of the Node, but for those that nothing is sent for', async () => {
  const { writes, node } = counted(await startServer())
  await node.patchAnnotations({ 'node-firewall.io/state': 'Off' })
  await node.patchAnnotations({})
  expect(writes).toEqual(['node success'])
})

test('a patch that is refused', async () => {
  const { writes, node } = counted(await startServer(), 'gone')
  await expect(node.patchAnnotations({ 'example.org/a': 'b' })).rejects.toThrow('404')
  expect(writes).toEqual(['node error'])
})

test('each attempt to send an Event', async () => {
  const server = await startServer()
  const { writes, openEvents } = counted(server)
  server.faults.answerNext(1, { status: 500 })
  openEvents(() => {}).emit(rolledBack)
  await until(() => expect(writes).toEqual(['event error', 'event success']))
})
