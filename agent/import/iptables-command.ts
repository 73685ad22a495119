import { messageOf } from '../errors.ts'
import type { Family } from '../ruleset/address.ts'
import { hasPorts } from '../ruleset/protocol.ts'
import { readCap } from './caps.ts'
import { aliases, options } from './iptables-options.ts'
import type { Draft } from './iptables-options.ts'
import { defined } from './match.ts'
import type { SourceRule } from './source.ts'

/** One call of iptables or ip6tables, or one line of what they save. */
export type IptablesCommand = {
  readonly table: string
  /** The letter of the command, such as `A` for `--append`. */
  readonly verb: string
  readonly chain: string
  /** The number after `-I CHAIN`, `-D CHAIN` or `-R CHAIN`, or the policy after `-P CHAIN`. */
  readonly argument?: string
  /** The words that make the rule: what `-D` and `-C` compare. */
  readonly key: string
  readonly rule: SourceRule
}

export type Written = { readonly line: number; readonly text: string; readonly remark?: string }

/** Options without a value that change nothing about a rule. */
const silent = new Set([
  '-v',
  '-n',
  '-x',
  '-w',
  '-4',
  '-6',
  '--verbose',
  '--numeric',
  '--exact',
  '-nv',
  '-vn',
])
/** Options of matches that count; `true` for those that have no value. */
const counting: Readonly<Record<string, boolean>> = {
  '--limit': false,
  '--limit-burst': false,
  '--hashlimit-upto': false,
  '--hashlimit-above': false,
  '--hashlimit': false,
  '--hashlimit-burst': false,
  '--hashlimit-mode': false,
  '--hashlimit-srcmask': false,
  '--connlimit-upto': false,
  '--connlimit-above': false,
  '--connlimit-mask': false,
  '--connlimit-saddr': true,
  '--connlimit-daddr': true,
  '--set': true,
  '--update': true,
  '--rcheck': true,
  '--rsource': true,
  '--seconds': false,
  '--hitcount': false,
}
/** Options that say how, not whether: names of lists, prefixes of logs, the kind of a refusal. */
const idle = new Set(
  (
    '--log-prefix --log-level --reject-with --name --mask --hashlimit-name --hashlimit-htable-size ' +
    '--hashlimit-htable-max --hashlimit-htable-expire --hashlimit-htable-gcinterval'
  ).split(' '),
)
const flags = new Set([
  '--log-tcp-sequence',
  '--log-tcp-options',
  '--log-ip-options',
  '--log-uid',
  '--log-macdecode',
])
const modules = new Set(
  (
    'tcp udp sctp icmp icmp6 icmpv6 ipv6-icmp conntrack state comment multiport limit hashlimit connlimit recent ' +
    'iprange addrtype standard'
  ).split(' '),
)

/** Reads the words that follow `iptables`; what it cannot take into a rule is kept under `unknown`. */
export function readIptables(words: readonly string[], family: Family, written: Written): IptablesCommand {
  const draft: Draft = {
    family,
    match: {},
    except: {},
    states: undefined,
    redirected: false,
    comment: undefined,
    target: { kind: 'none' },
    numbers: new Map(),
    modules: [],
    unknown: [],
  }
  const command = { table: 'filter', verb: '', chain: '' } as {
    table: string
    verb: string
    chain: string
    argument?: string
  }
  const key: string[] = []
  let negated = false
  let index = 0
  const peek = () => words[index]
  const next = () => words[index++] ?? ''
  /** A value, with the `!` that old scripts put between an option and its value. */
  const value = () => {
    if (peek() !== '!') return next()
    negated = !negated
    index += 1
    return next()
  }
  while (index < words.length) {
    const start = index
    const word = next()
    if (word === '!') {
      negated = true
      key.push(word)
      continue
    }
    const [name, inline] = splitOption(word)
    const read = () => inline ?? value()
    const option = options[name]
    if (name === '-t') command.table = read()
    else if (name === '-w' || name === '-W') {
      if (/^\d+$/.test(peek() ?? '')) index += 1
    } else if (/^-[AICDRPNFXLSZE]$/.test(name)) {
      command.verb = name.slice(1)
      if (peek() !== undefined && !/^[-!]/.test(peek() ?? '')) command.chain = next()
      const takesNumber = /^[IDR]$/.test(command.verb) && /^\d+$/.test(peek() ?? '')
      if (takesNumber || /^[PE]$/.test(command.verb)) command.argument = next()
    } else if (/^-[nvx]*[LS][nvx]*$/.test(name)) {
      command.verb = 'L'
      if (peek() !== undefined && !/^[-!]/.test(peek() ?? '')) command.chain = next()
    } else if (silent.has(name) || flags.has(name)) continue
    else if (name === '-c') index += 2
    else {
      if (name === '-m') readModule(draft, read())
      else if (name === '--syn') readSyn(draft, negated)
      else if (name === '--tcp-flags') readFlags(draft, [value(), next()], negated)
      else if (option !== undefined) readOption(draft, word, () => option(draft, read(), negated))
      else if (counting[name] !== undefined) readNumber(draft, name, counting[name] ? '' : read(), negated)
      else if (idle.has(name)) readIdle(draft, name, read())
      else {
        while (peek() !== undefined && !/^(-|!$)/.test(peek() ?? '')) index += 1
        const text = words.slice(start, index).join(' ')
        const module = draft.modules.at(-1)
        if (module === undefined) draft.unknown.push(text)
        else draft.unknown[draft.unknown.length - 1] += ` ${text}`
      }
      key.push(...words.slice(start, index))
    }
    negated = false
  }
  return { ...command, key: key.join(' '), rule: finish(draft, written) }
}

function splitOption(word: string): [name: string, inline: string | undefined] {
  const [, long, inline] = /^(--[a-z0-9-]+)=(.*)$/.exec(word) ?? []
  const [, short, attached] = /^(-[psdiojmtAI])([A-Za-z0-9].*)$/.exec(word) ?? []
  if (long !== undefined) return [aliases[long] ?? long, inline]
  if (short !== undefined) return [short, attached]
  return [aliases[word] ?? word, undefined]
}

function readModule(draft: Draft, name: string): void {
  if (modules.has(name)) return void (draft.modules.length = 0)
  draft.modules.push(name)
  draft.unknown.push(`-m ${name}`)
}

function readOption(draft: Draft, word: string, read: () => string | undefined | void): void {
  try {
    const problem = read()
    if (typeof problem === 'string') draft.unknown.push(`${word} (${problem})`)
  } catch (error) {
    draft.unknown.push(`${word} (${messageOf(error)})`)
  }
}

/** Of TCP, what opens a connection is what has SYN alone. */
function readSyn(draft: Draft, negated: boolean): void {
  if (negated) draft.unknown.push('! --syn')
  else draft.states ??= ['NEW']
}

function readFlags(draft: Draft, [mask = '', set = '']: readonly string[], negated: boolean): void {
  const opens = mask.split(',').toSorted().join() === 'ACK,FIN,RST,SYN' && set === 'SYN'
  if (opens) readSyn(draft, negated)
  else draft.unknown.push(`${negated ? '! ' : ''}--tcp-flags ${mask} ${set}`)
}

function readNumber(draft: Draft, name: string, value: string, negated: boolean): void {
  if (negated && name === '--connlimit-above') draft.numbers.set('--connlimit-upto', value)
  else if (negated) draft.unknown.push(`! ${name} ${value}`)
  else draft.numbers.set(name === '--hashlimit' ? '--hashlimit-upto' : name, value)
}

function readIdle(draft: Draft, name: string, value: string): void {
  if (name === '--mask' && value !== '255.255.255.255' && !/^(ffff:){7}ffff$/.test(value))
    draft.unknown.push(`--mask ${value}`)
}

function finish(draft: Draft, written: Written): SourceRule {
  const { match, except, states, redirected, comment, target, family, unknown } = draft
  const cap = readCap(draft.numbers, family)
  if (typeof cap === 'string') unknown.push(cap)
  const protocol = match.protocol ?? 'any'
  if ((match.ports !== undefined || match.dialledPorts !== undefined) && !hasPorts(protocol))
    unknown.push(`ports of protocol ${protocol}`)
  return {
    ...written,
    ...defined({ comment, states, cap: typeof cap === 'string' ? undefined : cap }),
    match: {
      ...match,
      ...(match.icmpTypes !== undefined && match.protocol === undefined
        ? { protocol: family === 'ipv4' ? 1 : 58 }
        : {}),
    },
    except,
    redirected,
    target,
    unknown,
  }
}
