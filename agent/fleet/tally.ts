import type { NodeMeta } from '../cluster/wire.ts'
import type { Judgement } from './judge-node.ts'

/** How far all nodes are together. */
export type Tally = {
  /** All nodes there are, as of `now` in ms since the epoch. */
  readonly take: (nodes: Iterable<NodeMeta>, now: number) => void
  readonly outcome: () => 'there' | 'under way' | 'refused'
  /** One line on how many are there, and who is not. */
  readonly progress: () => string
  /** A line for each node that is not there; if any has refused, for those alone. */
  readonly open: () => string[]
}

type Judged = Judgement & { readonly node: string }

const mostNamed = 3

/**
 * Adds up what is judged of nodes. A node that was invalid when it was first seen may not have got the rulesets yet;
 * one that becomes invalid, or in another way, has.
 */
export function createTally(
  judge: (node: NodeMeta, now: number) => Judgement | undefined,
  { ignoreMissing }: { readonly ignoreMissing: boolean },
): Tally {
  /** What was wrong with each node when it was first seen; nothing, for most of them. */
  const wrongAtFirst = new Map<string, string | undefined>()
  let judged: readonly Judged[] | undefined
  const judgeOne = (node: NodeMeta, now: number): Judged[] => {
    const judgement = judge(node, now)
    if (judgement === undefined) return []
    if (!wrongAtFirst.has(node.name)) wrongAtFirst.set(node.name, judgement.problems)
    const isNews = judgement.kind === 'invalid' && judgement.problems !== wrongAtFirst.get(node.name)
    return [{ ...judgement, ...(isNews ? { kind: 'refused' } : {}), node: node.name }]
  }
  const of = (...kinds: readonly Judged['kind'][]) =>
    (judged ?? []).filter(({ kind }) => kinds.includes(kind))
  const awaited = () => [...of('under way', 'invalid'), ...(ignoreMissing ? [] : of('no agent'))]
  const outcome = () => {
    if (of('refused').length > 0) return 'refused'
    // Where nobody enforces anything, nothing was shown.
    return of('there').length > 0 && awaited().length === 0 ? 'there' : 'under way'
  }
  return {
    take(nodes, now) {
      judged = [...nodes].flatMap((node) => judgeOne(node, now))
    },
    outcome,
    progress() {
      if (judged === undefined) return 'the nodes are not known yet'
      if (judged.length === 0) return 'no node is selected by these rulesets'
      const missing = of('no agent').length
      const total = judged.length - (ignoreMissing ? missing : 0)
      const ignored = ignoreMissing && missing > 0 ? `; ${missing} without an agent` : ''
      const refused = of('refused').length > 0 ? `; ${of('refused').length} will not` : ''
      return `${of('there').length} of ${total} nodes have them in force${refused}${ignored}${name(awaited())}`
    },
    open() {
      const open =
        outcome() === 'refused' ? of('refused') : [...awaited(), ...(ignoreMissing ? of('no agent') : [])]
      return open.map(({ node, why }) => `${node}: ${why}`)
    },
  }
}

function name(awaited: readonly Judged[]): string {
  if (awaited.length === 0) return ''
  const named = awaited.slice(0, mostNamed).map(({ node, why }) => `${node} (${why.split(/[:,]/, 1)[0]})`)
  const more = awaited.length - named.length
  return `; waiting for ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}
