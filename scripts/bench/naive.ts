import type { Backend } from '../../agent/netfilter/backend.ts'
import { freshText } from '../../agent/netfilter/restore-text.ts'
import { program } from '../../agent/netfilter/tables.ts'
import { families } from '../../agent/ruleset/address.ts'
import type { Family } from '../../agent/ruleset/address.ts'
import type { Host } from '../../test/sandbox/host.ts'
import { compileText } from './compiled.ts'
import { scriptText } from './script.ts'

/**
 * Puts the first ruleset in force, and returns what puts one of them in force by a script of single iptables
 * commands, family after family. While it runs, the policy of the base chain decides what is not decided yet.
 */
export async function createNaive(
  { exec }: Host,
  backend: Backend,
  texts: readonly string[],
  policy: 'ACCEPT' | 'DROP',
): Promise<(round: number) => Promise<unknown>> {
  const scripts = texts.map((text) =>
    families.map((family) => acceptingScript(text, backend, family)).join(''),
  )
  for (const family of families) {
    const text = freshText(compileText(texts[0] ?? '', family))
    const input = text.replace(/^\*filter\n/, `*filter\n:INPUT ${policy} [0:0]\n`)
    await exec(program(backend, family, 'restore'), ['--noflush'], { input })
  }
  return async (round) => exec('sh', [], { input: scripts[round % texts.length] ?? '' })
}

/** RETURN, which leaves the decision to the chains behind, would lead to the policy. */
function acceptingScript(text: string, backend: Backend, family: Family): string {
  return scriptText(backend, family, compileText(text, family), true).replaceAll('-j RETURN', '-j ACCEPT')
}
