import type { Family } from '../../agent/ruleset/address.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Host } from './host.ts'
import type { Observer } from './observe.ts'
import { packet, udp } from './packet.ts'
import { rawShapes } from './raw-shapes.ts'
import type { Shape } from './raw-shapes.ts'
import { sendRaw } from './raw.ts'

export type SentShape = Shape & {
  readonly port: number
  /** Whether it has passed the filter table of the host that is observed, or the first of its fragments has. */
  readonly passed: boolean
}

type Setting = {
  readonly from: Host
  readonly source: Readonly<Record<Family, string>>
  readonly destination: Readonly<Record<Family, string>>
  /** Of the host that the packets are for, or that they pass through. */
  readonly observer: Observer
  readonly place: 'input' | 'forward'
  /** Each shape gets a port of its own, from this one on. */
  readonly firstPort?: number
}

/** Sends all raw shapes to a host or through it, and tells which of them have passed. */
export async function sendShapes(setting: Setting): Promise<SentShape[]> {
  const { from, source, destination, observer, place, firstPort = 20_000 } = setting
  const shapes = rawShapes().map((shape, index) => ({ ...shape, port: firstPort + index }))
  const before = await observer.read()
  const path = (family: Family) => ({ source: source[family], destination: destination[family] })
  const lastPort = firstPort + shapes.length
  await sendRaw(from, [
    ...shapes.flatMap(({ family, port, build }) => build({ ...path(family), port })),
    ...families.map((family) => packet({ ...path(family), transport: udp(lastPort, lastPort, 'last') })),
  ])
  const awaited = before.at('arrival', 'udp', lastPort) + families.length
  while ((await observer.read()).at('arrival', 'udp', lastPort) < awaited);
  const after = await observer.read()
  return shapes.map((shape) => {
    const { protocol, port } = shape
    return { ...shape, passed: after.at(place, protocol, port) > before.at(place, protocol, port) }
  })
}
