import { z } from 'zod'
import type { Draft, Stored } from './store.ts'

/** The value as an object that can be stored; undefined when its metadata are of the wrong types. */
export function readObject(value: unknown): Stored | undefined {
  return stored.safeParse(value).data
}

/** The value as an object that is to be created. */
export function readDraft(value: unknown): Draft | undefined {
  return draft.safeParse(value).data
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const texts = z.record(z.string(), z.string())

const metadata = z.looseObject({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string(),
  resourceVersion: z.string(),
  creationTimestamp: z.string(),
  generation: z.number().optional(),
  labels: texts.optional(),
  annotations: texts.optional(),
})

const stored = z.looseObject({ kind: z.string(), apiVersion: z.string(), metadata })

const draft = z.looseObject({
  metadata: metadata.pick({ name: true, namespace: true, labels: true, annotations: true }),
})
