import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLingering } from '../../agent/cluster/lingering.ts'

const keepMs = 100
const letter = fc.constantFrom('a', 'b', 'c', 'd')
/** What is there, and how many ms after the step before; no list stands for a look at the time alone. */
const step = fc.record({
  afterMs: fc.constantFrom(0, 1, 25, 50, 75, 99, 100),
  present: fc.option(fc.uniqueArray(letter), { nil: undefined }),
})

test('property: a value is there from its first appearance until keepMs after it was found gone', () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const lingering = createLingering<string>((value) => value, keepMs)
      /** When a value was found gone; Infinity while it is there. */
      const goneAt = new Map<string, number>()
      let read = false
      let now = 0
      for (const { afterMs, present } of steps) {
        now += afterMs
        const before = lingering.values()
        const changed = present === undefined ? lingering.expire(now) : lingering.replace(present, now)
        read ||= present !== undefined
        if (present !== undefined) {
          for (const [value, at] of goneAt)
            if (at === Infinity && present.every((there) => there !== value)) goneAt.set(value, now)
          for (const value of present) goneAt.set(value, Infinity)
        }
        for (const [value, at] of goneAt) if (now - at >= keepMs) goneAt.delete(value)
        const expected = read ? [...goneAt.keys()].toSorted() : undefined
        expect(lingering.values()).toEqual(expected)
        expect(changed).toBe(
          String(before) !== String(expected) || (before === undefined) !== (expected === undefined),
        )
      }
    }),
  )
})

test('values of one key are one, and come in the order of their keys', () => {
  const lingering = createLingering<{ name: string }>(({ name }) => name, keepMs)
  lingering.replace([{ name: 'b' }, { name: 'a' }, { name: 'b' }], 0)
  expect(lingering.values()).toEqual([{ name: 'a' }, { name: 'b' }])
})
