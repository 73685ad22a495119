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
    while (lent >= size) await new Promise<void>((resolve) => waiting.push(resolve))
    lent += 1
    const one = free.pop() ?? (await make())
    if (!made.includes(one)) made.push(one)
    return one
  }
  const giveBack = () => {
    lent -= 1
    waiting.shift()?.()
  }
  return {
    async use(work) {
      try {
        const one = await take()
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
