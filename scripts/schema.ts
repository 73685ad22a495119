import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { rulesetSchema } from '../agent/ruleset/schema.ts'
import { detailsSchema } from '../agent/status/details-schema.ts'

const root = join(import.meta.dirname, '..')
export const schemaFile = join(root, 'rulesets', 'ruleset.schema.json')
export const statusSchemaFile = join(root, 'manifests', 'status.schema.json')

/** The JSON Schema of a Ruleset document, for editors. The agent checks more than it can say. */
export function rulesetJsonSchema(): string {
  const schema = z.toJSONSchema(rulesetSchema, { io: 'input', target: 'draft-7' })
  return `${JSON.stringify(schema, null, 2)}\n`
}

/** The JSON Schema of the annotation `status`, for programs that read it. Later versions may add keys. */
export function statusJsonSchema(): string {
  const schema = z.toJSONSchema(detailsSchema, {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema }) => {
      delete jsonSchema.readOnly
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
    },
  })
  const { $schema, ...rest } = schema
  const title = 'The annotation node-firewall.io/status of a Node'
  return `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`
}

if (import.meta.main) {
  await writeFile(schemaFile, rulesetJsonSchema())
  await writeFile(statusSchemaFile, statusJsonSchema())
}
