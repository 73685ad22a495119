/** Stands for a network that drops packets: nothing gets through, and then all of it at once. */
export type Silence = {
  begin(): void
  end(): void
  /** Resolves when there is no silence. */
  over(): Promise<void>
  /** Does it now, or after the silence, in order. */
  pass(action: () => void): void
}

export function createSilence(): Silence {
  let silent = false
  let waiting: (() => void)[] = []
  const pass = (action: () => void) => {
    if (silent) waiting.push(action)
    else action()
  }
  return {
    begin: () => {
      silent = true
    },
    end() {
      silent = false
      const actions = waiting
      waiting = []
      for (const action of actions) action()
    },
    over: () => new Promise((resolve) => pass(resolve)),
    pass,
  }
}
