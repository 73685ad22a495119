import * as z from 'zod'
import { lastingFailsafes } from './failsafe.ts'
import { describeValue, nearest } from './problem.ts'
import { rulesetSchema } from './schema.ts'
import type { YamlPath } from './yaml.ts'

/** What is wrong at a path of the document; `part` says whether the key or its value is meant. */
export type Issue = { readonly path: YamlPath; readonly message: string; readonly part?: 'key' | 'value' }

/** Words a schema issue as "found X, expected Y", at the deepest place the schema can name. */
export function explainIssue(issue: z.core.$ZodIssue): Issue[] {
  if (issue.code === 'invalid_union') {
    const deeper = issue.errors.flat().filter((inner) => inner.path.length > 0)
    if (deeper.length > 0) {
      return deeper.flatMap((inner) => explainIssue({ ...inner, path: [...issue.path, ...inner.path] }))
    }
    // A check of the one alternative that fitted says more than "none of them".
    const custom = issue.errors.flat().find((inner) => inner.code === 'custom')
    if (custom !== undefined) return explainIssue({ ...custom, path: issue.path })
  }
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      part: 'key',
      message: unknownKey(key, keysAt(rulesetSchema, issue.path), issue.path),
    }))
  }
  if (issue.code === 'invalid_key') {
    const inner = issue.issues[0]
    const key = describeValue(issue.path.at(-1))
    const message = `found ${key}${inner?.code === 'custom' ? ': ' : ', expected '}${inner?.message ?? 'another key'}`
    return [{ path: issue.path, part: 'key', message }]
  }
  // What parses a value says best what was found.
  if (issue.code === 'custom' && issue.message.startsWith('found ')) {
    return [{ path: issue.path, message: issue.message }]
  }
  const separator = issue.code === 'custom' ? ': ' : ', expected '
  return [{ path: issue.path, message: `found ${describeValue(issue.input)}${separator}${issue.message}` }]
}

function unknownKey(key: string, known: readonly string[], path: YamlPath): string {
  const guess = nearest(key, known)
  const hint = guess === undefined ? `one of ${known.join(', ')}` : `"${guess}"`
  if (path.at(-1) === 'failsafe' && lastingFailsafes.includes(key)) {
    return `found "${key}", without which no rule would work as it is written, expected ${hint}`
  }
  return `found the unknown key "${key}", expected ${hint}`
}

/** The keys that the map at `path` may have. */
function keysAt(schema: unknown, path: YamlPath): string[] {
  if (schema instanceof z.ZodOptional) return keysAt(schema.unwrap(), path)
  if (schema instanceof z.ZodArray) return keysAt(schema.element, path.slice(1))
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => keysAt(option, path))
  if (!(schema instanceof z.ZodObject)) return []
  const [step, ...rest] = path
  return step === undefined ? Object.keys(schema.shape) : keysAt(schema.shape[String(step)], rest)
}
