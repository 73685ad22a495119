import { describe, expect, test } from 'vitest'
import { ApiError } from '../../agent/cluster/api-error.ts'
import type { Nodes } from '../../agent/cluster/list-nodes.ts'
import { watchNodes } from '../../agent/fleet/watch-nodes.ts'

const refusal = (status: number) => new ApiError('WATCH /api/v1/nodes', 'answer', `${status}`, { status })

/** Watches that go on for so many ms each before they are refused; one without an end goes on until it is over. */
async function follow(lastMs: readonly (number | 'without an end')[], status = 403) {
  let now = 0
  const left = [...lastMs]
  const troubles: string[] = []
  const controller = new AbortController()
  const nodes: Nodes = {
    list: async () => [],
    async watch({ onError }) {
      const ms = left.shift() ?? 0
      if (ms === 'without an end') return controller.abort()
      now += ms
      onError(refusal(status))
    },
  }
  const clock = { now: () => now, wait: async (ms: number) => void (now += ms) }
  const onTrouble = ({ message }: ApiError) => void troubles.push(message)
  const ended = await watchNodes(nodes, { onNodes() {}, onTrouble }, controller.signal, clock).then(
    () => 'ended',
    (error: unknown) => String(error),
  )
  return { ended, troubles: troubles.length }
}

describe('who is refused', () => {
  test.each<[string, readonly (number | 'without an end')[], string, number]>([
    ['at once', [100], 'ApiError: WATCH /api/v1/nodes: 403', 0],
    ['after it was admitted, for a moment', [20_000, 0, 0, 'without an end'], 'ended', 3],
    ['after it was admitted, for good', [20_000], 'ApiError: WATCH /api/v1/nodes: 403', 12],
    ['now and then', [20_000, 90_000, 0, 90_000, 'without an end'], 'ended', 4],
  ])('%s', async (_, lastMs, ended, troubles) => {
    expect(await follow(lastMs)).toEqual({ ended, troubles })
  })
})
