import { isAlias, isMap, isNode, isScalar, LineCounter, parseAllDocuments, visit } from 'yaml'
import type { Document, ErrorCode, Node } from 'yaml'
import type { Position } from './problem.ts'
import { readQuickly } from './quick-yaml.ts'

export type YamlPath = readonly PropertyKey[]
export type YamlProblem = Position & { readonly message: string }

/** The value of a YAML text, and where its parts stand. */
export type YamlDocument = {
  readonly value: unknown
  /** Where the value at `path` begins, or its key; what is not there is placed at the nearest map around it. */
  at(path: YamlPath, part?: 'key' | 'value'): Position
}

type Read = { readonly document?: YamlDocument; readonly problems: readonly YamlProblem[] }

/**
 * Reads one YAML 1.2 document. Refused, since people are surprised by them: a second document, aliases and
 * anchors (cyclic or exploding ones included), keys given twice, numbers not written in plain decimals.
 */
export function readYaml(text: string): Read {
  const document = readQuickly(text)
  return document === undefined ? readStrictly(text) : { document, problems: [] }
}

/** The same by one parser alone, which knows all that is wrong with a text. */
export function readStrictly(text: string): Read {
  const lines = new LineCounter()
  const position = (offset: number): Position => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  const [first, second] = parse(text, lines)
  if (first === undefined)
    return { problems: [{ ...position(0), message: 'the file is empty, expected a Ruleset' }] }
  if (typeof first === 'string') return { problems: [{ ...position(0), message: first }] }

  const problems = syntaxProblems(first).map(({ offset, message }) => ({ ...position(offset), message }))
  if (second !== undefined && typeof second !== 'string') {
    problems.push({
      ...position(second.range[0]),
      message: 'found a second document, expected one Ruleset a file',
    })
  }
  problems.push(
    ...surprises(first).map(({ node, message }) => ({ ...position(node.range?.[0] ?? 0), message })),
  )
  if (problems.length > 0) return { problems }
  return {
    problems,
    document: { value: first.toJS(), at: (path, part) => position(offsetOf(first, path, part ?? 'value')) },
  }
}

/** One slip often makes the rest of a file unreadable too: the first few say enough. */
const mostSyntaxProblems = 10

function syntaxProblems(document: Document.Parsed): { offset: number; message: string }[] {
  const problems = [...document.errors, ...document.warnings]
  const tooDeep = problems.find(({ message }) => message.includes('call stack'))
  if (tooDeep !== undefined) return [{ offset: tooDeep.pos[0], message: nestedTooDeeply }]
  return problems
    .slice(0, mostSyntaxProblems)
    .map(({ pos, code, message }) => ({ offset: pos[0], message: explanations[code] ?? `YAML: ${message}` }))
}

const nestedTooDeeply = 'the YAML is nested too deeply to be read'

const explanations: Partial<Record<ErrorCode, string>> = {
  DUPLICATE_KEY: 'this key is already given above, expected each key once',
  TAB_AS_INDENT: 'found a tab in the indentation, expected spaces',
}

function parse(text: string, lineCounter: LineCounter): (Document.Parsed | string | undefined)[] {
  try {
    const parsed = parseAllDocuments(text, { lineCounter, prettyErrors: false, stringKeys: true })
    return [...parsed].filter((document) => document.contents !== null || document.errors.length > 0)
  } catch (error) {
    // The parser recurses, so brackets nested without end exhaust the stack.
    if (error instanceof RangeError) return [nestedTooDeeply]
    throw error
  }
}

function surprises(document: Document.Parsed): { node: Node; message: string }[] {
  const found: { node: Node; message: string }[] = []
  visit(document, {
    Node(_, node) {
      if (isAlias(node)) found.push({ node, message: 'found an alias ("*..."), expected the value itself' })
      else if (node.anchor !== undefined)
        found.push({ node, message: 'found an anchor ("&..."), expected none' })
      else if (node.tag !== undefined)
        found.push({ node, message: `found the tag ${node.tag}, expected none` })
      if (!isScalar(node) || typeof node.value !== 'number') return
      if (/^(0|-?[1-9][0-9]*)$/.test(node.source ?? '')) return
      found.push({ node, message: `found ${node.source}, expected a decimal number without leading zeros` })
    },
  })
  return found
}

function offsetOf(document: Document.Parsed, path: YamlPath, part: 'key' | 'value'): number {
  let offset = document.contents?.range[0] ?? 0
  for (const [index, step] of path.entries()) {
    const parent: unknown = index === 0 ? document.contents : document.getIn(path.slice(0, index), true)
    if (part === 'key' && index === path.length - 1 && isMap(parent)) {
      const key = parent.items.map((pair) => pair.key).find((node) => isScalar(node) && node.value === step)
      if (isNode(key)) return key.range?.[0] ?? offset
    }
    const next = document.getIn(path.slice(0, index + 1), true)
    if (!isNode(next)) break
    offset = next.range?.[0] ?? offset
  }
  return offset
}
