/** Where a command prints to. */
export type Terminal = {
  /** Somebody looks at it, and it can be drawn over. */
  readonly isScreen: boolean
  /** As of now; absent where nothing limits it. */
  readonly size: () => { readonly width?: number; readonly height?: number }
  readonly write: (text: string) => void
  /** What is no part of the result. */
  readonly tell: (text: string) => void
}

export const realTerminal: Terminal = {
  isScreen: process.stdout.isTTY,
  size: () => (process.stdout.isTTY ? { width: process.stdout.columns, height: process.stdout.rows } : {}),
  write: (text) => void process.stdout.write(text),
  tell: (text) => void process.stderr.write(`${text}\n`),
}
