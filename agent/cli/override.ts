import { judgeOverrides } from '../confirm/break-glass.ts'
import type { Override } from '../confirm/break-glass.ts'

/** Somebody's order to this node, from the annotation of its Node and from a file on the host. */
export type Orders = {
  /** Who wins now, and what is odd about it. */
  readonly override: () => { readonly override?: Override; readonly problems: readonly string[] }
  readonly setAnnotation: (value: string | undefined) => void
  readonly setFile: (value: string | undefined) => void
}

export type OrdersOptions = {
  /** What the annotation said when it was last seen. */
  readonly annotation: string | undefined
  readonly annotationName: string
  readonly file: string
  /** The annotation says something else than before. */
  readonly onAnnotation: (value: string | undefined) => void
  readonly onChange: () => void
}

export function createOrders(options: OrdersOptions): Orders {
  let { annotation } = options
  let file: string | undefined
  let judged = judgeOverrides([])
  const judge = () => {
    judged = judgeOverrides([
      { by: `the annotation ${options.annotationName}`, value: annotation },
      { by: `the file ${options.file} on the host`, value: file },
    ])
  }
  judge()
  return {
    override: () => judged,
    setAnnotation(value) {
      if (value === annotation) return
      annotation = value
      judge()
      options.onAnnotation(value)
      options.onChange()
    },
    setFile(value) {
      if (value === file) return
      file = value
      judge()
      options.onChange()
    },
  }
}
