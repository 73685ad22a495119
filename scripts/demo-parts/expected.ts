import { services } from './visits.ts'
import type { Row, Table } from './visits.ts'

const everybody: Row = ['open', 'open', 'open']
const nobody: Row = ['refused', 'refused', 'refused']
const privateOnly: Row = ['refused', 'refused', 'open']

export const allOpen: Table = new Map(services.map(({ name }) => [name, everybody]))

/** What the preset lke-worker says of itself. */
export const afterPreset: Table = new Map([
  ['SSH', nobody],
  ['kubelet', privateOnly],
  ['kubelet, read-only', nobody],
  ['Calico BGP', privateOnly],
  ['WireGuard', privateOnly],
  ['NodePort to a pod', privateOnly],
  ['NodePort to a pod elsewhere', privateOnly],
  ['NodePort to a pod (UDP)', privateOnly],
  ['hostPort of a pod', nobody],
  ['a forgotten one', nobody],
  ['ping', everybody],
])

/** With SSH for the one address that the internet's visitor has. */
export const sshOpened: Table = new Map([...afterPreset, ['SSH', ['open', 'open', 'refused']]])
