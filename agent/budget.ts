/** So many things at once; after that, one in a while. */
export type Budget = {
  /**
   * Spends one and returns 0; or, where that would leave less than `reserve`, none, and returns how many ms are left
   * until it would not.
   */
  take(nowMs: number, reserve?: number): number
  /** What was taken last has come to nothing. */
  giveBack(): void
}

export type BudgetOptions = { readonly burst: number; readonly everyMs: number }

/** A clock that is set back delays nothing: what has been saved up stays. */
export function createBudget({ burst, everyMs }: BudgetOptions): Budget {
  let saved = burst
  let countedMs: number | undefined
  return {
    take(nowMs, reserve = 0) {
      const passedMs = Math.max(0, nowMs - (countedMs ?? nowMs))
      saved = Math.min(burst, saved + passedMs / everyMs)
      countedMs = nowMs
      const needed = 1 + reserve
      if (saved < needed) return Math.ceil((needed - saved) * everyMs)
      saved -= 1
      return 0
    },
    giveBack() {
      saved += 1
    },
  }
}
