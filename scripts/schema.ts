import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { rulesetSchema } from '../agent/ruleset/schema.ts'

export const schemaFile = join(import.meta.dirname, '..', 'rulesets', 'ruleset.schema.json')

/** The JSON Schema of a Ruleset document, for editors. The agent checks more than it can say. */
export function rulesetJsonSchema(): string {
  const schema = z.toJSONSchema(rulesetSchema, { io: 'input', target: 'draft-7' })
  return `${JSON.stringify(schema, null, 2)}\n`
}

if (import.meta.main) await writeFile(schemaFile, rulesetJsonSchema())
