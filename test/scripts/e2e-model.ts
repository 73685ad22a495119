import type { Client } from '../../scripts/e2e-parts/client.ts'
import type { Stage } from '../../scripts/e2e-parts/phase.ts'
import { ruleFile } from '../../scripts/e2e-parts/rules.ts'
import type { Files, Site } from '../../scripts/e2e-parts/site.ts'

/** What is wrong with a cluster, one thing at a time. */
export type Flaw =
  | 'has rules already'
  | 'never writes'
  | 'writes wrong rules'
  | 'keeps what was to be rolled back'
  | 'lets all in'
  | 'lets nobody in'
  | 'has a gap in the update'
  | 'has a client that sends nothing'
  | 'leaves a chain'
  | 'leaves an annotation'
  | 'leaves a file'
  | 'no client'

/** A cluster of one node in a few lines: right in all that the phases ask, but for one flaw. */
export function createModel(flaw?: Flaw): { readonly stage: Stage; readonly told: readonly string[] } {
  const foreign = 'table ip filter {\n-A INPUT -j KUBE-FIREWALL'
  let files: Files = { 'worker.yaml': 'worker' }
  let kernel = flaw === 'has rules already' ? ['-N node-firewall'] : ([] as string[])
  let annotations: Record<string, string> = {}
  const say = (state: string, more: Record<string, string> = {}) => {
    const said = { state, ruleset: `hash of ${kernel.join()}`, message: '', status: '{}', ...more }
    annotations = Object.fromEntries(
      Object.entries(said).map(([key, text]) => [`node-firewall.io/${key}`, text]),
    )
  }
  const isOpen = () =>
    flaw === 'lets all in' || (flaw !== 'lets nobody in' && kernel.join().includes('-j RETURN'))
  const write = () => {
    const text = files[ruleFile] ?? ''
    const [name] = /(?<=name: )(?!e2e)\w.*/.exec(text) ?? ['worker']
    const target = text.includes('action: accept') ? 'RETURN' : 'REJECT'
    const rule = `-A node-firewall -m comment --comment "e2e/${name}" -j ${target}`
    const isWrong = text.includes('permit')
    const isCut = text.includes('probes')
    if (isWrong) say('Invalid', { message: `${ruleFile}:1:1` })
    else if (isCut) say('RolledBack', { message: 'the probe e2e-server' })
    const isWritten = isWrong
      ? flaw === 'writes wrong rules'
      : isCut
        ? flaw === 'keeps what was to be rolled back'
        : flaw !== 'never writes'
    if (isWritten) kernel = ['-N node-firewall', rule]
    if (!isWrong && !isCut) say('Enforcing')
  }
  const client: Client = {
    reaches: async () => isOpen(),
    hammer: async () => ({
      stop: async () => ({
        passed: flaw === 'has a gap in the update' ? 1 : 0,
        refused: flaw === 'has a client that sends nothing' ? 0 : 100,
      }),
    }),
  }
  const site: Site = {
    deploy: async () => write(),
    nodes: async () => [{ name: 'node-1', address: '192.0.2.1', annotations }],
    readRules: async () => files,
    async putRules(changes) {
      files = { ...files, ...changes } as Files
      write()
    },
    waitFor: async () => {},
    onNode: async () => [foreign, ...kernel].join('\n'),
    verify: async () => {},
    replaceAgents: async () => {},
    async uninstall() {
      kernel = flaw === 'leaves a chain' ? ['-N node-firewall-made-INPUT'] : []
      if (flaw !== 'leaves an annotation') annotations = {}
    },
    leftFiles: async () => (flaw === 'leaves a file' ? ['/var/lib/node-firewall'] : []),
    server: { podAddress: '10.0.0.1', nodePort: 30_000 },
    client: flaw === 'no client' ? undefined : client,
  }
  const told: string[] = []
  const tell = (line: string) => void told.push(line)
  const times = { signal: new AbortController().signal, patienceMs: 5, pauseMs: 1 }
  return { stage: { site, tell, ...times, before: new Map() }, told }
}
