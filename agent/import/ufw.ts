import type { Family } from '../ruleset/address.ts'
import { readIptables } from './iptables-command.ts'
import { splitSaved } from './iptables-save.ts'
import type { Source } from './source.ts'
import { createTables } from './table-builder.ts'

type Defaults = { [Chain in 'INPUT' | 'OUTPUT' | 'FORWARD']: string }

/** What ufw does with the rest unless /etc/default/ufw says otherwise. */
const usualDefaults: Defaults = { INPUT: 'DROP', OUTPUT: 'ACCEPT', FORWARD: 'DROP' }

/**
 * Reads the rules files of ufw (`user.rules`, `user6.rules`, `before.rules` and the like), one or several in one
 * text. The rules count; comments of the `### tuple ###` lines above them give names. The policies of ufw stand
 * in another file, /etc/default/ufw, whose lines may be part of the text too.
 */
export function readUfw(text: string): Source {
  const tables = createTables()
  const chains = new Map<Family, Set<string>>()
  const defaults = { ...usualDefaults }
  let said = false
  let table: string | undefined
  let remark: string | undefined
  for (const [index, raw] of text.split('\n').entries()) {
    const line = index + 1
    const content = raw.trim()
    if (content === '') remark = undefined
    else if (content.startsWith('#')) remark = content.startsWith('### tuple') ? commentOf(content) : remark
    else if (content.startsWith('*')) table = content.slice(1)
    else if (content === 'COMMIT') table = undefined
    else if (table !== undefined && /^[:-]/.test(content)) {
      const family: Family = /\bufw6-/.test(content) ? 'ipv6' : 'ipv4'
      const words = wordsOf(content.replace(/\bufw6-/g, 'ufw-'))
      const written = { line, text: content, ...(remark === undefined ? {} : { remark }) }
      const command = { ...readIptables(words, family, written), table }
      tables.run(family, command, line)
      if (command.verb === 'A') chains.set(family, (chains.get(family) ?? new Set()).add(command.chain))
      else chains.set(family, chains.get(family) ?? new Set())
    } else if (/^(?!DEFAULT_(INPUT|OUTPUT|FORWARD)_POLICY)[A-Z0-9_]+=/.test(content)) continue
    else if (readDefault(defaults, content)) said = true
    else tables.note({ line, kind: 'lost', message: `"${content}" is no line of a rules file of ufw` })
  }
  for (const [family, filled] of chains) {
    for (const words of skeleton(filled, defaults)) {
      const written = { line: 0, text: `${words.join(' ')} (ufw's own)` }
      tables.run(family, readIptables(words, family, written), 0)
    }
  }
  if (!said) tables.note({ line: 0, kind: 'advice', message: defaultsTaken })
  if (![...chains.values()].some((filled) => filled.has('ufw-before-input'))) {
    tables.note({ line: 0, kind: 'advice', message: beforeMissing })
  }
  return tables.build()
}

const defaultsTaken =
  'the policies of ufw stand in /etc/default/ufw: incoming deny and outgoing allow are taken; put its lines before these to have them read'
const beforeMissing =
  'before.rules, in which ufw accepts ping and some multicast, is not in this file; put its lines before these to have them read'

/** The jumps and policies that ufw makes itself when it starts. */
function skeleton(filled: ReadonlySet<string>, defaults: Defaults): string[][] {
  return (['INPUT', 'OUTPUT', 'FORWARD'] as const).flatMap((base) => {
    const way = base.toLowerCase()
    // before.rules ends with the jump to the user's rules.
    const first = filled.has(`ufw-before-${way}`) ? `ufw-before-${way}` : `ufw-user-${way}`
    const jumps = [first, `ufw-after-${way}`].filter((chain) => filled.has(chain))
    const policy = defaults[base] === 'ACCEPT' ? 'ACCEPT' : 'DROP'
    return [
      ...jumps.map((chain) => ['-A', base, '-j', chain]),
      ...(defaults[base] === 'REJECT' ? [['-A', base, '-j', 'REJECT']] : []),
      // A ufw that routes nothing is the usual one: its FORWARD policy says nothing about this node's pods.
      ...(base === 'FORWARD' ? [] : [['-P', base, policy]]),
    ]
  })
}

/** A shell reads the file when the machine starts, and ufw itself takes the policies in lower case too. */
function readDefault(defaults: Defaults, content: string): boolean {
  const [, chain, , written] =
    /^DEFAULT_(INPUT|OUTPUT|FORWARD)_POLICY=(["']?)(ACCEPT|DROP|REJECT)\2\s*(#.*)?$/i.exec(content) ?? []
  const policy = written?.toUpperCase()
  if (policy === undefined || (chain !== 'INPUT' && chain !== 'OUTPUT' && chain !== 'FORWARD')) return false
  defaults[chain] = policy
  return true
}

function wordsOf(content: string): string[] {
  return content.startsWith(':') ? ['-N', content.slice(1).split(/\s+/)[0] ?? ''] : splitSaved(content)
}

/** ufw writes the comment of a rule in hex. */
function commentOf(tuple: string): string | undefined {
  const [, hex] = /\bcomment=([0-9a-f]+)/.exec(tuple) ?? []
  return hex === undefined ? undefined : Buffer.from(hex, 'hex').toString('utf8')
}
