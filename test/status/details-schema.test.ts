import type * as z from 'zod'
import { expectTypeOf, test } from 'vitest'
import type { detailsSchema } from '../../agent/status/details-schema.ts'
import type { StatusDetails } from '../../agent/status/status.ts'

test('the schema says of details what their type says', () => {
  expectTypeOf<z.infer<typeof detailsSchema>>().toEqualTypeOf<StatusDetails>()
})
