import { judgeOverrides } from '../confirm/break-glass.ts'
import type { Override } from '../confirm/break-glass.ts'
import { modeFileIn, readModeFile } from '../host/mode-file.ts'
import { modeAnnotation } from '../status/annotations.ts'

/** What people order this node to do whatever its rulesets say: by an annotation of the Node, or a file on the host. */
export type Orders = {
  /** Who wins now, and what is odd about it. */
  readonly override: () => { readonly override?: Override; readonly problems: readonly string[] }
  /** Takes the order from the annotations of the Node. */
  readonly setAnnotation: (annotations: Readonly<Record<string, string>>) => void
  /** Reads the file again. */
  readonly readFile: () => Promise<void>
}

export type OrdersOptions = {
  /** What the annotation said when it was last seen. */
  readonly annotation: string | undefined
  /** Folder of the file, if there is one. */
  readonly stateDir: string | undefined
  /** The annotation says something else than before. */
  readonly onAnnotation: (value: string | undefined) => void
  readonly onChange: () => void
}

/** Begins with what the file says now. */
export async function openOrders(options: OrdersOptions): Promise<Orders> {
  const file = options.stateDir === undefined ? undefined : modeFileIn(options.stateDir)
  const readFile = async (): Promise<{ readonly mode?: string; readonly problem?: string }> =>
    file === undefined ? {} : ((await readModeFile(file)) ?? {})
  let { annotation } = options
  let fromFile = await readFile()
  const judge = () => {
    const { override, problems } = judgeOverrides([
      { by: `the annotation ${modeAnnotation}`, value: annotation },
      { by: `the file ${file} on the host`, value: fromFile.mode },
    ])
    const { problem } = fromFile
    return {
      ...(override === undefined ? {} : { override }),
      problems: problem === undefined ? problems : [...problems, problem],
    }
  }
  let judged = judge()
  return {
    override: () => judged,
    setAnnotation(annotations) {
      const value = annotations[modeAnnotation]
      if (value === annotation) return
      annotation = value
      judged = judge()
      options.onAnnotation(value)
      options.onChange()
    },
    async readFile() {
      const before = JSON.stringify(fromFile)
      fromFile = await readFile()
      judged = judge()
      if (JSON.stringify(fromFile) !== before) options.onChange()
    },
  }
}
