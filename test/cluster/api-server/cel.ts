import { celEnv, isCelError, parse, plan } from '@bufbuild/cel'
import type { CelInput, CelValue } from '@bufbuild/cel'
import { isRecord } from './objects.ts'

const environment = celEnv()
/** An expression is parsed once, however often it is asked. */
const planned = new Map<string, ReturnType<typeof plan>>()

/**
 * The value of an expression of the Common Expression Language; the names in it stand for JSON values and results of
 * other expressions. What Kubernetes adds to the language is missing.
 *
 * @throws {Error} when it has no value, as for a field that is not there
 */
export function evaluate(expression: string, names: Readonly<Record<string, CelInput>>): CelValue {
  const run = planned.get(expression) ?? plan(environment, parse(expression))
  planned.set(expression, run)
  const result = run(names)
  if (isCelError(result)) throw result
  return result
}

/** A JSON value: numbers without a fraction are integers. */
export function toCel(value: unknown): CelInput {
  if (Array.isArray(value)) return value.map(toCel)
  if (isRecord(value)) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined)
    return new Map(fields.map(([key, field]) => [key, toCel(field)]))
  }
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value
  if (typeof value === 'string' || typeof value === 'boolean') return value
  return null
}
