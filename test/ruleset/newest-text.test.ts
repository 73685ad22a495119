import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  asksApi,
  chosenDigest,
  missApi,
  mountLagMs,
  noTexts,
  seeApi,
  seeMount,
} from '../../agent/ruleset/newest-text.ts'
import type { Texts } from '../../agent/ruleset/newest-text.ts'

/** What happens in a cluster. Numbers choose among what is possible then. */
type Step =
  | { readonly do: 'edit'; readonly text: string }
  /** The kubelet's own watch catches up a little, or it writes what it has to the mount. */
  | { readonly do: 'kubelet hears'; readonly share: number }
  | { readonly do: 'kubelet syncs' }
  /** The agent's watch brings the next so many events, and then it reads, from a server that may lie behind. */
  | { readonly do: 'agent reads'; readonly events: number; readonly share: number }
  /** The watch is lost: a LIST, and a read of what it told of. */
  | { readonly do: 'agent lists' }
  /** What the agent has asked is answered. */
  | { readonly do: 'api answers' }
  | { readonly do: 'api away' }
  | { readonly do: 'api back' }
  | { readonly do: 'agent restarts' }
  | { readonly do: 'time passes'; readonly ms: number }

const text = fc.constantFrom('A', 'B', 'C')
const share = fc.double({ min: 0, max: 1, noNaN: true })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('edit' as const), text: text }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('kubelet hears' as const), share }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('kubelet syncs' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('agent reads' as const),
      events: fc.integer({ min: 1, max: 3 }),
      share,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('agent lists' as const, 'api answers' as const) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('api away' as const, 'api back' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('agent restarts' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('time passes' as const),
      ms: fc.constantFrom(1000, mountLagMs / 2, mountLagMs),
    }),
  },
)

const steps = fc.array(step, { maxLength: 30 })
const mount: Step = { do: 'kubelet syncs' }

/** A cluster with one ConfigMap, a kubelet and an agent; texts are known by their place in the history. */
class World {
  readonly history: { readonly text: string; readonly at: number }[] = [{ text: 'A', at: 0 }]
  now = 1
  isAway = false
  heard = 0
  mounted = 0
  swappedAt = Infinity
  told = 0
  read: number | undefined
  texts: Texts = noTexts
  /** Place of the newest text that was ever chosen since the agent started, and the text chosen last. */
  newest = 0
  last: string | undefined
  readonly flaps: string[] = []
  /** Whether the API says when a text was written. */
  readonly tellsTimes: boolean

  constructor(tellsTimes: boolean) {
    this.tellsTimes = tellsTimes
  }

  get end() {
    return this.history.length - 1
  }

  take(step: Step): void {
    this.now += 1
    switch (step.do) {
      case 'edit':
        // The API server tells nobody of an edit that changes nothing.
        if (this.text(this.end) !== step.text) this.history.push({ text: step.text, at: this.now })
        return
      case 'kubelet hears':
        this.heard += Math.round((this.end - this.heard) * step.share)
        return
      case 'kubelet syncs':
        return this.sync()
      case 'agent reads':
        return this.agentReads(step.events, step.share)
      case 'agent lists':
        return this.agentLooks(this.read === this.end)
      case 'api answers':
        return asksApi(this.texts) ? this.agentLooks(this.read === this.end) : undefined
      case 'api away':
        this.isAway = true
        return this.change(missApi(this.texts, this.now))
      case 'api back':
        this.isAway = false
        return this.read === undefined ? this.agentLooks(false) : undefined
      case 'agent restarts':
        return this.restart()
      case 'time passes':
        // A kubelet that has swapped in what was outdated hears of it, and swaps again in time.
        if (this.mounted < this.end && this.now + step.ms >= this.swappedAt + mountLagMs) {
          this.heard = this.end
          this.sync()
        }
        this.now += step.ms
        return
    }
  }

  sync(): void {
    // However far behind, a kubelet does not swap files for a text that has been outdated for so long.
    const oldest = this.history.findLastIndex(({ at }) => at <= this.now - mountLagMs)
    this.heard = Math.max(this.heard, oldest)
    if (this.text(this.heard) !== this.text(this.mounted)) this.swappedAt = this.now
    this.mounted = this.heard
    this.change(seeMount(this.texts, this.text(this.mounted), this.now))
    if (asksApi(this.texts) && this.isAway) this.change(missApi(this.texts, this.now))
  }

  agentReads(events: number, share: number): void {
    if (this.isAway || this.read === undefined) return
    const told = Math.min(this.end, this.told + events)
    if (told === this.told) return
    this.told = told
    if (told <= this.read) return
    const before = this.read
    const place = told + Math.round((this.end - told) * share)
    this.show(place, { follows: place === before + 1 && place === told, asOf: 0 })
  }

  agentLooks(follows: boolean): void {
    if (this.isAway) return
    this.told = this.end
    this.show(this.end, { follows, asOf: this.now })
  }

  show(place: number, how: { readonly follows: boolean; readonly asOf: number }): void {
    this.read = place
    const at = this.tellsTimes ? (this.history[place]?.at ?? 0) : this.now
    this.change(seeApi(this.texts, { digest: this.text(place), ...how, at }))
  }

  restart(): void {
    this.texts = noTexts
    this.read = undefined
    this.newest = 0
    this.last = undefined
    // It waits for the API before it chooses.
    this.texts = seeMount(noTexts, this.text(this.mounted), this.now)
    if (this.isAway) this.change(this.texts)
    else this.agentLooks(false)
  }

  change(texts: Texts): void {
    this.texts = texts
    const text = chosenDigest(texts)
    const place = texts.chosen === 'api' ? (this.read ?? 0) : this.mounted
    if (text !== this.last && place < this.newest) {
      this.flaps.push(`${text} of ${place} after ${this.last} of ${this.newest}`)
    }
    this.last = text
    this.newest = Math.max(this.newest, place)
  }

  text(place: number): string {
    return this.history[place]?.text ?? ''
  }
}

function run(steps: readonly Step[], tellsTimes: boolean): World {
  const world = new World(tellsTimes)
  world.take({ do: 'agent restarts' })
  for (const step of steps) world.take(step)
  return world
}

const runs = { numRuns: Number(process.env['TEXT_RUNS'] ?? 20_000) }

describe('whatever happens in whichever order', () => {
  test('a text is never chosen after a newer one', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (steps, tellsTimes) => {
        expect(run(steps, tellsTimes).flaps).toEqual([])
      }),
      runs,
    )
  })

  test('with the API server there, the newest text is chosen as soon as the watch has told of it, and stays', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (steps, tellsTimes) => {
        const world = run(steps, tellsTimes)
        const end: Step[] = [
          { do: 'api back' },
          { do: 'agent reads', events: 100, share: 1 },
          { do: 'api answers' },
        ]
        for (const step of end) world.take(step)
        expect(chosenDigest(world.texts)).toBe(world.text(world.end))
        for (const step of [mount, { do: 'kubelet hears', share: 1 } as const, mount]) {
          world.take(step)
          world.take({ do: 'api answers' })
        }
        expect(chosenDigest(world.texts)).toBe(world.text(world.end))
        expect(world.flaps).toEqual([])
      }),
      runs,
    )
  })

  test('with the API server away, what the kubelet brings is chosen in the end', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (steps, tellsTimes) => {
        const world = run(steps, tellsTimes)
        fc.pre(world.text(world.mounted) !== world.text(world.end))
        world.take({ do: 'api away' })
        for (const step of [{ do: 'kubelet hears', share: 1 } as const, mount]) world.take(step)
        world.take({ do: 'time passes', ms: mountLagMs })
        world.take({ do: 'api away' })
        expect(chosenDigest(world.texts)).toBe(world.text(world.end))
      }),
      runs,
    )
  })
})

describe('the text of the mount', () => {
  const late = 2 * mountLagMs
  const api =
    (digest: string, at: number, follows = true) =>
    (texts: Texts) =>
      seeApi(texts, { digest, follows, asOf: 0, at })
  const files = (digest: string, at: number) => (texts: Texts) => seeMount(texts, digest, at)
  const after = (...events: ((texts: Texts) => Texts)[]) =>
    events.reduce((texts, event) => event(texts), noTexts)
  /** Both have come to B, and that is known. */
  const atB = after(files('A', 1), api('A', 2, false), api('B', late), files('B', late + 1))

  test.each([
    ['what the API has shown', atB, 'api', false],
    ['an unseen text long after the last edit', files('C', late * 2)(atB), 'mount', false],
    ['an unseen text soon after an edit that it has come to', files('C', late + 9)(atB), 'mount', false],
    [
      'an unseen text while it may be on its way',
      after(files('A', 1), api('A', 2), files('C', 3)),
      'api',
      true,
    ],
    ['a former text, as of a kubelet that was restarted', files('A', late * 2)(atB), 'api', true],
    [
      'a text that the API has shown on the way',
      files('C', late + 9)(api('D', late + 3)(api('C', late + 2)(atB))),
      'api',
      true,
    ],
    ['a former text after a newer one', files('A', late * 3)(files('C', late * 2)(atB)), 'mount', false],
  ])('is %s', (_, texts, chosen, unclear) => {
    expect(texts).toMatchObject({ chosen, unclear })
  })

  test('on its way is not believed when the API does not answer, until it has stayed for long', () => {
    const passing = files('C', late + 9)(api('D', late + 3)(api('C', late + 2)(atB)))
    expect(missApi(passing, late + 10).chosen).toBe('api')
    expect(missApi(passing, late + 9 + mountLagMs).chosen).toBe('mount')
  })

  test('that nobody has seen may come from a gap, also behind a text that it seemed to have come to', () => {
    const gap = api('D', late + 3)(api('C', late + 2, false)(atB))
    const unseen = files('X', late + 5)(files('D', late + 4)(gap))
    expect(missApi(unseen, late + 6).chosen).toBe('api')
  })

  test('of a former edit is believed when the API does not answer', () => {
    expect(missApi(files('A', late * 2)(atB), late * 2).chosen).toBe('mount')
  })

  test('is newer than what the API showed before it was asked', () => {
    const ahead = files('C', late * 2)(atB)
    expect(asksApi(ahead)).toBe(true)
    expect(chosenDigest(api('B', late * 2 + 1, false)(ahead))).toBe('C')
    const asked = seeApi(ahead, { digest: 'D', follows: false, asOf: late * 2 + 1, at: late * 2 + 2 })
    expect(chosenDigest(asked)).toBe('D')
    expect(asksApi(asked)).toBe(false)
  })

  test('forgets what is long ago', () => {
    const edits = Array.from({ length: 100 }, (_, index) => api(`edit ${index}`, index))
    expect(after(files('A', 1), ...edits).shown).toHaveLength(32)
  })
})
