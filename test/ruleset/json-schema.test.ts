import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { rulesetJsonSchema, schemaFile } from '../../scripts/schema.ts'

test('the published JSON Schema is that of the code (npm run schema writes it)', async () => {
  expect(await readFile(schemaFile, 'utf8')).toBe(rulesetJsonSchema())
})
