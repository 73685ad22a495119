import { messageOf } from '../errors.ts'
import { parseCidr } from './address.ts'
import type { Cidr } from './address.ts'
import { describeValue } from './problem.ts'
import type { Problem } from './problem.ts'
import { readCidr } from './read-cidr.ts'

/** What a data file holds; with any error among the problems, it is not to be used. */
export type AddressList = { readonly cidrs: readonly Cidr[]; readonly problems: readonly Problem[] }

/** Who hands in a file of another kind needs no line for each of its lines. */
const mostProblems = 20

/**
 * Reads a list of addresses and CIDRs, one a line and of both families: plain ones with `#` and `;` comments, as
 * Spamhaus and FireHOL publish them, and Spamhaus' JSON lines. Order and duplicates stay as they are. Never throws
 * for what people can write.
 */
export function parseAddressList(path: string, text: string): AddressList {
  const cidrs: Cidr[] = []
  const faults: Fault[] = []
  let faultCount = 0
  let line = 0
  for (let start = 0, end = 0; start < text.length; start = end + 1) {
    end = lineEnd(text, start)
    line += 1
    const entry = findEntry(text, start, end)
    if (entry === undefined) continue
    const read = readEntry(text, entry, faults.length < mostProblems)
    if (read === undefined) continue
    if ('family' in read) {
      cidrs.push(read)
      continue
    }
    faultCount += 1
    if (faults.length < mostProblems)
      faults.push({ line, column: read.at - start + 1, message: read.message })
  }
  return { cidrs, problems: faults.map((fault, index) => toProblem(path, fault, more(index, faultCount))) }
}

type Fault = { readonly line: number; readonly column: number; readonly message: string }

function toProblem(path: string, { line, column, message }: Fault, suffix: string): Problem {
  return { path, line, column, severity: 'error', message: `${message}${suffix}` }
}

function more(index: number, count: number): string {
  return index === mostProblems - 1 && count > mostProblems
    ? ` (and ${count - mostProblems} more entries that cannot be read)`
    : ''
}

function lineEnd(text: string, start: number): number {
  const end = text.indexOf('\n', start)
  return end === -1 ? text.length : end
}

type Span = { readonly start: number; readonly end: number }

/** What stands in a line before its comment, without the space around it. */
function findEntry(text: string, lineStart: number, end: number): Span | undefined {
  let start = lineStart
  while (start < end && isSpace(text.charCodeAt(start))) start += 1
  if (text.charCodeAt(start) === openBrace) return { start, end }
  let stop = start
  for (let index = start; index < end; index += 1) {
    const code = text.charCodeAt(index)
    if (code === hash || code === semicolon) break
    if (!isSpace(code)) stop = index + 1
  }
  return stop === start ? undefined : { start, end: stop }
}

const hash = 0x23
const semicolon = 0x3b
const openBrace = 0x7b

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d
}

type Misread = { readonly at: number; readonly message: string }

/** Reasons cost far more than reading: a file that is no list at all must not keep the agent busy for seconds. */
function readEntry(text: string, { start, end }: Span, isTold: boolean): Cidr | Misread | undefined {
  if (text.charCodeAt(start) === openBrace) return readJson(text.slice(start, end), start)
  const read = readCidr(text, start, end)
  if (read !== undefined) return read
  const entry = text.slice(start, end)
  // What readCidr leaves to parseCidr is IPv6.
  return isTold || entry.includes(':') ? explain(entry, start) : { at: start, message: '' }
}

/** Spamhaus' form: `{"cidr":"192.0.2.0/24","sblid":"SBL1","rir":"arin"}`, and one line `{"type":"metadata",...}`. */
function readJson(line: string, start: number): Cidr | Misread | undefined {
  const value = parseObject(line)
  if (value === undefined) {
    const found = `found ${describeValue(line.trimEnd())}`
    return { at: start, message: `${found}, expected one whole JSON object on the line` }
  }
  if ('type' in value && value.type === 'metadata') return undefined
  const cidr = 'cidr' in value ? value.cidr : undefined
  if (typeof cidr !== 'string') {
    return { at: start, message: `found cidr: ${describeValue(cidr)}, expected an address or a CIDR` }
  }
  return readCidr(cidr) ?? explain(cidr, start + Math.max(0, line.indexOf(`"${cidr}"`) + 1))
}

function parseObject(line: string): object | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/** parseCidr knows all reasons; it also takes the few forms that readCidr leaves to it. */
function explain(entry: string, at: number): Cidr | Misread {
  const found = `found ${describeValue(entry)}`
  const range = /^([0-9a-f.:]+)\s*-\s*[0-9a-f.:]+$/i.exec(entry)
  if (range !== null) return { at, message: `${found}, expected CIDRs instead of an address range` }
  if (/\s|,/.test(entry)) return { at, message: `${found}, expected one address or CIDR a line` }
  try {
    return parseCidr(entry)
  } catch (error) {
    return { at, message: `${found}, expected an address or a CIDR: ${messageOf(error)}` }
  }
}
