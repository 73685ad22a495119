/** How far a node has come with a change, as its annotation `node-firewall.io/rollout` says. */
export type Progress =
  /** What it said before does not hold any more: its turn has not come. */
  | { readonly phase: 'waiting' }
  /** It wants to be among the first, and looks whether others want to as well. `claim` tells two of them apart. */
  | { readonly phase: 'claiming'; readonly claim: string }
  /** Written before the kernel is touched: from now on the change may be in force there. */
  | { readonly phase: 'trying'; readonly early: boolean }
  /** `early`: it had no rules to stay with, and did not wait for its stage. */
  | { readonly phase: 'confirmed'; readonly early: boolean }
  | { readonly phase: 'rolled-back' }
  /** It learnt that another node rolled the change back. */
  | { readonly phase: 'stopped'; readonly by: string }

/** `3fa9c1d2e4b5 trying`: the change, and how far the node has come with it. */
export function formatProgress(hash: string, progress: Progress): string {
  switch (progress.phase) {
    case 'claiming':
      return `${hash} claiming ${progress.claim}`
    case 'trying':
    case 'confirmed':
      return `${hash} ${progress.phase}${progress.early ? ' early' : ''}`
    case 'stopped':
      return `${hash} stopped ${progress.by}`
    case 'waiting':
    case 'rolled-back':
      return `${hash} ${progress.phase}`
  }
}

/** What an annotation says of a change; undefined when it speaks of another one, or makes no sense. */
export function parseProgress(text: string | undefined, hash: string): Progress | undefined {
  const [of, phase, detail = ''] = (text ?? '').split(' ')
  if (of !== hash) return undefined
  switch (phase) {
    case 'claiming':
      return { phase, claim: detail }
    case 'trying':
    case 'confirmed':
      return { phase, early: detail === 'early' }
    case 'stopped':
      return { phase, by: detail }
    case 'waiting':
    case 'rolled-back':
      return { phase }
    default:
      return undefined
  }
}
