import { isDeepStrictEqual } from 'node:util'
import { annotationPrefix } from '../../agent/status/annotations.ts'
import { detailsSchema } from '../../agent/status/details-schema.ts'

/** Throws unless the annotation `status` is what its schema says, no more and no less. */
export function checkAnnotations<Given extends Readonly<Record<string, string | null>>>(
  annotations: Given,
): Given {
  const details: unknown = JSON.parse(annotations[`${annotationPrefix}status`] ?? 'null')
  if (isDeepStrictEqual(detailsSchema.parse(details), details)) return annotations
  throw new Error(`the status holds what its schema does not know: ${JSON.stringify(details)}`)
}
