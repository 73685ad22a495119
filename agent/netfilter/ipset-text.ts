import { createHash } from 'node:crypto'
import type { Cidr, Family } from '../ruleset/address.ts'

/** A set of networks in the kernel, of the type hash:net. */
export type Ipset = {
  readonly name: string
  readonly family: Family
  /** Each once, and none of them /0. */
  readonly cidrs: readonly Cidr[]
  /** What it should hold is not known: it is made where it is missing, and whatever it holds stays. */
  readonly isUnknown?: boolean
}

/** The kernel takes 31 characters. */
const longestName = 31
const temporarySuffix = '-new'

/** Costs no memory: the kernel only counts up to it. */
const mostEntries = 2 ** 20

/**
 * The name of a set that never changes, made from what it holds: with other networks it is another set. Rules are
 * switched from one set to the next, so that no packet ever meets a half-filled one.
 */
export function staticSetName(family: Family, cidrs: readonly Cidr[]): string {
  const hash = createHash('sha256')
  for (const part of partsOf(cidrs)) hash.update(part.map((cidr) => `${formatEntry(cidr)}\n`).join(''))
  return `${prefixOf(family)}${hash.digest('hex').slice(0, 12)}`
}

/** Whether a name is made from what the set holds. */
export function isStaticName(name: string): boolean {
  return /^node-firewall[46]-[0-9a-f]{12}$/.test(name)
}

/** The name of a set that the agent fills with what it knows of the cluster, and changes element by element. */
export function clusterSetName(family: Family, set: string): string {
  const name = `${prefixOf(family)}${set}`
  if (!/^[A-Za-z]+$/.test(set) || temporaryName(name).length > longestName || isStaticName(name)) {
    throw new Error(`naming a set: "${set}" is not fit for it`)
  }
  return name
}

/** Whether a set is this firewall's: nobody else gives sets such names. */
export function isOurSet(name: string): boolean {
  return /^node-firewall[46]-[A-Za-z0-9-]+$/.test(name)
}

/** Whether the name of one of our sets is that of a family. */
export function isSetOf(name: string, family: Family): boolean {
  return name.startsWith(prefixOf(family))
}

/** The name under which a set is filled, before it gets its own: who dies over it leaves no half-filled set. */
export function temporaryName(name: string): string {
  return `${name}${temporarySuffix}`
}

/** An element as `ipset save` prints it: without the prefix length of a single host. */
export function formatEntry({ family, address, prefix }: Cidr): string {
  if (prefix === 0) throw new Error(`writing ${address}/0 into a set: hash:net cannot hold it`)
  return prefix === (family === 'ipv4' ? 32 : 128) ? address : `${address}/${prefix}`
}

/** Input for `ipset restore` that makes a set which does not exist. It appears at once and whole. */
export function createText(set: Ipset): string {
  return `${fillText(set)}rename ${temporaryName(set.name)} ${quote(set.name)}\n`
}

/**
 * Input for `ipset restore` that gives an existing set all its elements at once; rules keep pointing to it. What it held
 * before is left under the temporary name: a line that destroys it, cut off before the name, would destroy all sets.
 */
export function replaceText(set: Ipset): string {
  return `${fillText(set)}swap ${temporaryName(set.name)} ${quote(set.name)}\n`
}

/** Input for `ipset -exist restore` on a machine that just starts: no rule uses the set before it is full. */
export function bootSetText(set: Ipset): string {
  return fillText(set, set.name)
}

/**
 * Input for `ipset -exist restore` that brings a set from the present elements to the wanted ones, one command for
 * each that differs. What is missing is added first, so that an address in both states is in the set all the time.
 */
export function changeText({ name, cidrs }: Ipset, present: ReadonlySet<string>): string {
  const wanted = new Set(cidrs.map(formatEntry))
  const missing = wanted.difference(present)
  // "192.0.2.0/24 nomatch" is the element 192.0.2.0/24; adding that anew takes the "nomatch" away.
  const foreign = new Set([...present.difference(wanted)].map((entry) => entry.replace(/ .*/, '')))
  return [
    ...[...missing].map((entry) => `add ${name} ${quote(entry)}\n`),
    ...[...foreign.difference(wanted)].map((entry) => `del ${name} ${quote(entry)}\n`),
  ].join('')
}

function prefixOf(family: Family): string {
  return family === 'ipv4' ? 'node-firewall4-' : 'node-firewall6-'
}

function fillText({ name, family, cidrs }: Ipset, as = temporaryName(name)): string {
  // With as many buckets as elements hardly any bucket overflows, which would make the kernel hash all anew.
  const hashsize = Math.max(64, 2 ** Math.ceil(Math.log2(Math.max(1, cidrs.length))))
  const maxelem = Math.max(mostEntries, cidrs.length)
  const kind = `hash:net family ${family === 'ipv4' ? 'inet' : 'inet6'}`
  const create = `create ${as} ${kind} hashsize ${hashsize} maxelem ${maxelem}\n`
  const adds = partsOf(cidrs).map((part) => {
    // One join of the entries takes half the time of a join of whole lines.
    return `add ${as} ${part.map(formatEntry).join(`\nadd ${as} `)}\n`
  })
  return `${create}${[...adds].join('')}`
}

/** A long list in parts: what is made of each is gone before it would be kept as something that lives long. */
function* partsOf(cidrs: readonly Cidr[]): Generator<readonly Cidr[]> {
  for (let start = 0; start < cidrs.length; start += 1_000) yield cidrs.slice(start, start + 1_000)
}

/**
 * When the agent is killed while it writes, `ipset restore` reads the part of a line that has come, and takes
 * "192.0.2" for 192.0.0.2 and the first half of a name for a name. An open quote makes that an error.
 */
function quote(word: string): string {
  return `"${word}"`
}
