/** Things that take long to make, lent to one at a time. */
export type Pool<T> = {
  /** Waits for one that is free, or makes one. One whose user fails is closed: nobody knows what is left in it. */
  use<R>(work: (one: T) => Promise<R>): Promise<R>
  close(): Promise<void>
}

/** At most `size` of them, each made when it is needed first. */
export function createPool<T extends { close(): Promise<void> }>(
  size: number,
  make: () => Promise<T>,
): Pool<T> {
  const free: T[] = []
  const waiting: (() => void)[] = []
  let lent = 0
  const take = async () => {
    while (lent >= size) await new Promise<void>((resolve) => waiting.push(resolve))
    lent += 1
    return free.pop() ?? make()
  }
  const giveBack = () => {
    lent -= 1
    waiting.shift()?.()
  }
  return {
    async use(work) {
      try {
        const one = await take()
        try {
          const result = await work(one)
          free.push(one)
          return result
        } catch (error) {
          await one.close()
          throw error
        }
      } finally {
        giveBack()
      }
    },
    close: async () => void (await Promise.all(free.map(async (one) => one.close()))),
  }
}
