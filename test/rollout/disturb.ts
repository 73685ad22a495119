import type { VirtualFleet } from './virtual-fleet.ts'

/**
 * What happens to clusters while a change is on its way, by chance, within 10 minutes: the API server is away for up to
 * 30 s, agents crash, nodes join and are deleted, nodes lose their power and come back, or are deleted by the cloud.
 */
export function disturb(fleet: VirtualFleet, share: number): void {
  const { time, cluster, random, nodes } = fleet
  const later = (ms: number, callback: () => void) => time.at(time.now() + ms, callback)
  const sometime = (callback: () => void) => later(600_000 * random(), callback)
  const any = () => [...nodes.keys()][Math.floor(nodes.size * random())] ?? ''
  const times = Math.ceil(nodes.size * share)
  for (let count = 0; count < 3; count += 1) {
    sometime(() => {
      cluster.setAway(true)
      later(30_000 * random(), () => cluster.setAway(false))
    })
  }
  for (let count = 0; count < times; count += 1) {
    sometime(() => fleet.join(`late-${count}`))
    sometime(() => fleet.remove(any()))
    sometime(() => {
      const name = any()
      nodes.get(name)?.stopAgent()
      later(120_000 * random(), () => nodes.get(name)?.startAgent())
    })
    sometime(() => {
      const name = any()
      fleet.turnOff(name)
      if (random() < 0.5) later(480_000 * random(), () => fleet.turnOn(name))
      else later(300_000, () => fleet.remove(name))
    })
  }
}
