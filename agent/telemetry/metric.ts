/** A metric of the Prometheus text format and what it says now; without samples it is left out. */
export type Metric = {
  readonly type: 'counter' | 'gauge'
  readonly name: string
  readonly help: string
  readonly samples: readonly Sample[]
}

export type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number }

export function gauge(name: string, help: string, samples: readonly Sample[]): Metric {
  return { type: 'gauge', name, help, samples }
}

export function counter(name: string, help: string, samples: readonly Sample[]): Metric {
  return { type: 'counter', name, help, samples }
}

/** The only sample of a metric without labels; none where there is nothing to say. */
export function one(value: number | undefined): Sample[] {
  return value === undefined || Number.isNaN(value) ? [] : [{ labels: {}, value }]
}
