import { EVENT_ID, getScalarValue, SCALAR_STYLE } from 'js-yaml'
import type { Event, ScalarEvent } from 'js-yaml'
import { Schema } from 'yaml'

/** Leaves the whole text to readStrictly: it has something unusual, or wrong. */
export function refuse(): never {
  throw new Error('readStrictly is asked')
}

/** Every key that a Ruleset can have. Numbers would lose their place in a map, `__proto__` is not stored in one. */
const usualKey = /^(?!__proto__$|[0-9]+$)[A-Za-z0-9._/-]+$/

export function readKey(text: string, event: ScalarEvent): string {
  const key = getScalarValue(text, event)
  return usualKey.test(key) ? key : refuse()
}

/** Plain scalars that are no strings in the core schema of YAML 1.2, as readStrictly has it. */
const notStrings = new Schema({ schema: 'core' }).tags.flatMap(({ test }) => test ?? [])

export function readScalar(text: string, event: ScalarEvent): string | number | boolean {
  const source = getScalarValue(text, event)
  if (event.style !== SCALAR_STYLE.PLAIN || !notStrings.some((form) => form.test(source))) return source
  if (source === 'true' || source === 'false') return source === 'true'
  return /^(0|-?[1-9][0-9]*)$/.test(source) ? Number(source) : refuse()
}

/** Where a node begins, as readStrictly counts. */
export function startOf(text: string, event: Event): number {
  if (event.type !== EVENT_ID.SCALAR) return 'start' in event ? event.start : refuse()
  const { style, valueStart } = event
  if (valueStart === -1) return refuse()
  if (style === SCALAR_STYLE.LITERAL_BLOCK || style === SCALAR_STYLE.FOLDED_BLOCK) {
    return text[valueStart - 1] === '\n' ? blockHeader(text, valueStart - 1) : refuse()
  }
  // Both parsers have ideas of their own of quotes that end on another line.
  if (text.slice(valueStart, event.valueEnd).includes('\n')) return refuse()
  return style === SCALAR_STYLE.PLAIN ? valueStart : valueStart - 1
}

/** Where the mark of a block scalar stands, which is the last on its line; the text begins on the next. */
function blockHeader(text: string, lineEnd: number): number {
  const mark = /^[^#]* ([|>][-+]?)$/.exec(lineBefore(text, lineEnd))?.[1] ?? refuse()
  return lineEnd - mark.length
}

/** What stands before an offset on its line. */
export function lineBefore(text: string, offset: number): string {
  return text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset)
}
