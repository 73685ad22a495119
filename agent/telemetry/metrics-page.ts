import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Metric } from './metric.ts'

/** What a page says, and in which format. */
export type Page = { readonly type: string; readonly text: string }

export type Durations = { readonly name: string; readonly help: string }

export type MetricsPage = {
  /** Adds a duration, in seconds, to a histogram. */
  observe(durations: Durations, seconds: number): void
  render(metrics: readonly Metric[]): Promise<Page>
}

/** From a pass that finds 12 rules in force, to one whose commands hang. */
const buckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Writes metrics in the Prometheus text format. Only histograms are kept between two pages. */
export function createMetricsPage(durations: readonly Durations[]): MetricsPage {
  const kept = new Registry()
  const histograms = new Map(
    durations.map(({ name, help }) => [name, new Histogram({ name, help, buckets, registers: [kept] })]),
  )
  return {
    observe: ({ name }, seconds) => histograms.get(name)?.observe(seconds),
    async render(metrics) {
      const registry = new Registry()
      for (const metric of metrics) if (metric.samples.length > 0) add(metric, registry)
      return { type: registry.contentType, text: `${await registry.metrics()}${await kept.metrics()}` }
    },
  }
}

function add({ type, name, help, samples }: Metric, registry: Registry): void {
  const labelNames = Object.keys(samples[0]?.labels ?? {})
  const options = { name, help, labelNames, registers: [registry] }
  if (type === 'gauge') {
    const gauge = new Gauge(options)
    for (const { labels, value } of samples) gauge.set(labels, value)
  } else {
    const counter = new Counter(options)
    for (const { labels, value } of samples) counter.inc(labels, value)
  }
}
