import { readFile } from 'node:fs/promises'
import * as z from 'zod'
import { annotationPrefix } from '../../agent/status/annotations.ts'
import { until } from './until.ts'

const annotationsShape = z.record(z.string(), z.string())
const detailsShape = z.object({
  drift: z.object({
    count: z.number(),
    last: z.object({ message: z.string(), by: z.string().optional() }).optional(),
  }),
})

/** The annotations that the Node would carry now. */
export async function readStatus(file: string): Promise<z.infer<typeof annotationsShape>> {
  return annotationsShape.parse(JSON.parse(await readFile(file, 'utf8')))
}

/** Waits for a state; returns the message. */
export async function untilState(file: string, wanted: string): Promise<string> {
  return until(`the state is ${wanted}`, async () => {
    const { [`${annotationPrefix}state`]: state, [`${annotationPrefix}message`]: message } =
      await readStatus(file)
    return state === wanted ? message : undefined
  })
}

/** What was changed from outside, and how often. */
export async function readDrift(file: string): Promise<z.infer<typeof detailsShape>['drift']> {
  const { [`${annotationPrefix}status`]: details = '' } = await readStatus(file)
  return detailsShape.parse(JSON.parse(details)).drift
}
