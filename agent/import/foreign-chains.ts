import type { Note } from './note.ts'

const owners: readonly (readonly [prefix: string, owner: string])[] = [
  ['KUBE-', 'Kubernetes'],
  ['cali-', 'Calico'],
  ['CILIUM_', 'Cilium'],
  ['FLANNEL-', 'Flannel'],
  ['CNI-', 'the CNI plugins'],
  ['DOCKER', 'Docker'],
  ['WEAVE', 'Weave Net'],
  ['ANTREA-', 'Antrea'],
  ['node-firewall', 'node-firewall itself'],
]

/** Whether a chain belongs to a part of the cluster, which keeps it in order by itself. */
export function isForeign(chain: string): boolean {
  return owners.some(([prefix]) => chain.startsWith(prefix))
}

/** One note for each owner, at the first line that names one of its chains. */
export function noteForeign(mentions: readonly { readonly line: number; readonly chain: string }[]): Note[] {
  return owners.flatMap(([prefix, owner]) => {
    const own = mentions.filter(({ chain }) => chain.startsWith(prefix))
    const [first] = own
    if (first === undefined) return []
    const count = new Set(own.map(({ chain }) => chain)).size
    const message = `${count === 1 ? 'chain' : `${count} chains`} ${prefix}* of ${owner}: they stay as they are`
    return [{ line: first.line, kind: 'covered', message }]
  })
}
