import { isDeepStrictEqual, styleText } from 'node:util'
import { services, visitors } from './visits.ts'
import type { Result, Row, Service, Table } from './visits.ts'

/** What the demo says, and how often it was not as it should be. */
export type Report = {
  chapter(title: string): void
  say(text: string): void
  /** Something that must hold. */
  claim(text: string, holds: boolean): void
  /** Who got in where: must be as expected. With `before`, only rows that differ from it are printed. */
  table(found: Table, expected: Table, before?: Table): void
  failures(): number
  verdict(): string
}

export function createReport(print: (line: string) => void): Report {
  let chapters = 0
  let failures = 0
  const claim = (text: string, holds: boolean) => {
    if (!holds) failures += 1
    print(`  ${holds ? paint('green', 'ok') : paint('red', 'NOT SO:')} ${text}`)
  }
  return {
    chapter(title) {
      chapters += 1
      print(`\n${paint('bold', `${chapters}. ${title}`)}`)
    },
    say: (text) => print(text.replaceAll(/^(?=.)/gm, '  ')),
    claim,
    table(found, expected, before) {
      const heads = visitors.map(({ name }) => name.padEnd(columnWidth))
      print(`  ${''.padEnd(labelWidth)}${heads.join('').trimEnd()}`)
      const known = services.filter(({ name }) => found.has(name))
      const shown = known.filter(({ name }) => !isDeepStrictEqual(found.get(name), before?.get(name)))
      for (const service of shown) print(`  ${formatRow(service, found.get(service.name) ?? [])}`)
      if (before !== undefined) print(`  (the other ${known.length - shown.length} rows: as before)`)
      for (const { name } of known) {
        for (const text of differences(name, found, expected)) claim(text, false)
      }
    },
    failures: () => failures,
    verdict: () => (failures === 0 ? 'All of it was as it should be.' : `${failures} times it was NOT SO.`),
  }
}

const labelWidth = 42
const columnWidth = 16
const colours = { open: 'green', refused: 'red', silent: 'yellow' } as const satisfies Record<Result, string>

function formatRow({ name, protocol, port }: Service, row: Row): string {
  const label = `${name.padEnd(30)}${port === undefined ? protocol : `${protocol} ${port}`}`
  const cells = row.map((result) => paint(colours[result], result.padEnd(columnWidth)))
  return [label.padEnd(labelWidth), ...cells].join('').trimEnd()
}

function differences(name: string, found: Table, expected: Table): string[] {
  return visitors.flatMap((visitor, index) => {
    const [is, should] = [found.get(name)?.[index], expected.get(name)?.[index]]
    return is === should ? [] : [`${name} from ${visitor.name} is ${is}, expected ${should}`]
  })
}

/** Only on a terminal, and where NO_COLOR does not forbid it: styleText sees to that. */
function paint(style: 'bold' | 'green' | 'red' | 'yellow', text: string): string {
  return styleText(style, text, { stream: process.stdout })
}
