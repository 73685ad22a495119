import { COLLECTION_STYLE, EVENT_ID, parseEvents } from 'js-yaml'
import type { Event, MappingEvent } from 'js-yaml'
import { createPositions } from './positions.ts'
import { lineBefore, readKey, readScalar, refuse, startOf } from './quick-scalar.ts'
import type { YamlDocument, YamlPath } from './yaml.ts'

/**
 * Reads a YAML text of the kind that nearly all Rulesets are, in a tenth of the time that readStrictly takes. No
 * answer is no verdict: whatever is unusual or wrong in a text is left to readStrictly. What this reads, that one
 * reads as the same value with every part in the same place, which property tests hold.
 */
export function readQuickly(text: string): YamlDocument | undefined {
  if (isUnusual(text)) return undefined
  try {
    const root = readTree(text, parseEvents(text, {}))
    const position = createPositions(text)
    return { value: root.value, at: (path, part) => position(offsetOf(root, path, part ?? 'value')) }
  } catch {
    // Syntax errors, and what was refused: readStrictly has the words for it.
    return undefined
  }
}

/** What the two parsers take for different things. */
function isUnusual(text: string): boolean {
  // Tabs, line breaks other than "\n", the marks of documents.
  if (/[\t\r\x85\u2028\u2029\uFEFF]|^ *(---|\.\.\.)/m.test(text)) return true
  // `yaml` refuses a comment at the start of a line that stands behind a value in braces.
  return /^#/m.test(text) && /^ *[,}]/m.test(text)
}

type Node = {
  readonly value: unknown
  /** The offset at which it begins, and that of its key; in a list both are the same. */
  readonly start: number
  readonly keyStart: number
  /** Of a map and of a list. */
  readonly parts?: ReadonlyMap<PropertyKey, Node>
}

function readTree(text: string, events: readonly Event[]): Node {
  let index = 0
  const next = (): Event => {
    const event = events[index] ?? refuse()
    return event.type === EVENT_ID.ALIAS || isMarked(event) ? refuse() : event
  }
  const ends = (): boolean => {
    if (next().type !== EVENT_ID.POP) return false
    index += 1
    return true
  }
  const readNode = (key?: number): Node => {
    const event = next()
    index += 1
    const start = startOf(text, event)
    const place = { start, keyStart: key ?? start }
    if (event.type === EVENT_ID.SCALAR) return { ...place, value: readScalar(text, event) }
    if (event.type === EVENT_ID.MAPPING) return { ...place, ...readMap(event) }
    return event.type === EVENT_ID.SEQUENCE ? { ...place, ...readList() } : refuse()
  }
  const readList = (): Pick<Node, 'value' | 'parts'> => {
    const parts = new Map<number, Node>()
    while (!ends()) parts.set(parts.size, readNode())
    return { value: [...parts.values()].map(({ value }) => value), parts }
  }
  const readMap = ({ start, style }: MappingEvent): Pick<Node, 'value' | 'parts'> => {
    const map: Record<string, unknown> = {}
    const parts = new Map<string, Node>()
    while (!ends()) {
      const event = next()
      index += 1
      const keyStart = startOf(text, event)
      const key = event.type === EVENT_ID.SCALAR ? readKey(text, event) : refuse()
      if (parts.has(key)) refuse()
      // js-yaml lets a key follow on the line on which a list ends.
      const isLater = style === COLLECTION_STYLE.BLOCK && keyStart !== start
      if (isLater && lineBefore(text, keyStart).trim() !== '') refuse()
      const node = readNode(keyStart)
      map[key] = node.value
      parts.set(key, node)
    }
    return { value: map, parts }
  }
  const document = next()
  if (document.type !== EVENT_ID.DOCUMENT || document.directives.length > 0) refuse()
  index += 1
  const root = readNode()
  return ends() && index === events.length && root.parts !== undefined ? root : refuse()
}

/** Whether it has an anchor or a tag. */
function isMarked(event: Event): boolean {
  return (
    ('anchorStart' in event && event.anchorStart !== -1) || ('tagStart' in event && event.tagStart !== -1)
  )
}

function offsetOf(root: Node, path: YamlPath, part: 'key' | 'value'): number {
  let node = root
  for (const [index, step] of path.entries()) {
    const inner = node.parts?.get(step)
    if (inner === undefined) break
    if (part === 'key' && index === path.length - 1) return inner.keyStart
    node = inner
  }
  return node.start
}
