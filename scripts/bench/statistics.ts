export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/** `12.3 ms` */
export function formatMs(samples: readonly number[]): string {
  return `${formatNumber(median(samples))} ms`
}

/** `12.3 ms (quartiles 11.9 to 13.1, from 10.8 to 20.1, n = 20)` */
export function describeSamples(samples: readonly number[], unit = 'ms'): string {
  return `${formatNumber(median(samples))} ${unit} (${describeSpread(samples)})`
}

export function describeSpread(samples: readonly number[]): string {
  const [lower, upper, least, most] = [0.25, 0.75, 0, 1].map((part) => formatNumber(quantile(samples, part)))
  return `quartiles ${lower} to ${upper}, from ${least} to ${most}, n = ${samples.length}`
}

/** Three digits that count. */
export function formatNumber(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2)
}

/** Between two samples, as far along as the part asks for. */
function quantile(samples: readonly number[], part: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const place = (sorted.length - 1) * part
  const below = sorted[Math.floor(place)] ?? Number.NaN
  const above = sorted[Math.ceil(place)] ?? Number.NaN
  return below + (above - below) * (place - Math.floor(place))
}
