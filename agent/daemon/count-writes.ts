import type { ClusterSide } from './agent-options.ts'
import type { Meter } from './meter.ts'

/** Tells of each request that writes to the API server: annotations of the own Node, and Events. */
export function countWrites(inCluster: ClusterSide, wrote: Meter['wrote']): ClusterSide {
  const { node, openEvents } = inCluster
  return {
    ...inCluster,
    node: {
      ...node,
      async patchAnnotations(changes, signal) {
        if (Object.keys(changes).length === 0) return undefined
        try {
          const patched = await node.patchAnnotations(changes, signal)
          wrote('node', 'success')
          return patched
        } catch (error) {
          wrote('node', 'error')
          throw error
        }
      },
    },
    openEvents: (onError) => openEvents(onError, (result) => wrote('event', result)),
  }
}
