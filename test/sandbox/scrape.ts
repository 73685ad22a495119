import type { Host } from './host.ts'

/** What a page in the Prometheus text format says, one line a sample: its name and labels, as they are written there. */
export type Scrape = ReadonlyMap<string, number>

const ask = `
const response = await fetch(process.argv[1])
if (response.status !== 200) throw new Error('status ' + response.status)
process.stdout.write(await response.text())
`

/** Asks for a page from a host of the sandbox; rejects where it gets none. */
export async function askPage(host: Host, url: string): Promise<string> {
  const args = ['--input-type=module', '--eval', ask, url]
  return (await host.exec(process.execPath, args)).stdout
}

/**
 * Asks as Prometheus does.
 *
 * @throws {Error} for a line that is neither a sample nor a comment
 */
export async function scrape(host: Host, url: string): Promise<Scrape> {
  return parsePage(await askPage(host, url))
}

function parsePage(page: string): Scrape {
  const lines = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const [, sample = '', value] = /^([a-z_]+(?:\{.*\})?) (\S+)$/.exec(line) ?? []
      if (value === undefined || Number.isNaN(Number(value))) throw new Error(`found "${line}"`)
      return [sample, Number(value)]
    }),
  )
}
