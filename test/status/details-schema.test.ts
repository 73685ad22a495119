import { readFile } from 'node:fs/promises'
import * as fc from 'fast-check'
import type * as z from 'zod'
import { expect, expectTypeOf, test } from 'vitest'
import { toAnnotations } from '../../agent/status/annotations.ts'
import { deriveStatus } from '../../agent/status/derive.ts'
import type { detailsSchema } from '../../agent/status/details-schema.ts'
import { readStatus } from '../../agent/status/read-status.ts'
import type { StatusDetails } from '../../agent/status/status.ts'
import { statusJsonSchema, statusSchemaFile } from '../../scripts/schema.ts'
import { arbitraryKnowledge } from './arbitrary-knowledge.ts'
import { checkAnnotations } from './check-annotations.ts'

test('the schema says of details what their type says', () => {
  expectTypeOf<z.infer<typeof detailsSchema>>().toEqualTypeOf<StatusDetails>()
})

test('the published JSON Schema is that of the code (npm run schema writes it)', async () => {
  expect(await readFile(statusSchemaFile, 'utf8')).toBe(statusJsonSchema())
})

test('whatever a pass knows, the status that comes of it fits the schema, and is read as it was meant', () => {
  fc.assert(
    fc.property(arbitraryKnowledge, (knowledge) => {
      const { state, ruleset, appliedAt, verifiedAt, details } = deriveStatus(knowledge)
      const annotations = toAnnotations(deriveStatus(knowledge)) as Record<string, string>
      checkAnnotations(annotations)
      expect(readStatus(annotations)).toEqual({
        state,
        ruleset,
        message: annotations['node-firewall.io/message'],
        appliedAt,
        verifiedAt,
        details: JSON.parse(JSON.stringify(details)) as unknown,
        unreadable: [],
      })
    }),
  )
})
