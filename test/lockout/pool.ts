/** Things that take long to make, lent to one at a time. */
export type Pool<T> = {
  /** Waits for one that is free, or makes one. One whose user fails is not lent again: nobody knows what is left in it. */
  use<R>(work: (one: T) => Promise<R>): Promise<R>
  close(): Promise<void>
}

/** At most `size` of them, each made when it is needed first. */
export function createPool<T extends { close(): Promise<void> }>(
  size: number,
  make: () => Promise<T>,
): Pool<T> {
  const made: T[] = []
  const free: T[] = []
  const waiting: (() => void)[] = []
  let lent = 0
  const take = async () => {
    // Whoever gives one back hands on the right to it.
    if (lent === size) await new Promise<void>((resolve) => waiting.push(resolve))
    else lent += 1
  }
  const giveBack = () => {
    const next = waiting.shift()
    if (next === undefined) lent -= 1
    else next()
  }
  const find = async () => {
    const found = free.pop()
    if (found !== undefined) return found
    const one = await make()
    made.push(one)
    return one
  }
  return {
    async use(work) {
      await take()
      try {
        const one = await find()
        const result = await work(one)
        free.push(one)
        return result
      } finally {
        giveBack()
      }
    },
    close: async () => void (await Promise.all(made.map(async (one) => one.close()))),
  }
}
