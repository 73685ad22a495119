/** Something that rules cannot do here. */
export type Finding = {
  /** What is so, and what is not enforced because of it. */
  readonly what: string
  /** What a person can do about it. */
  readonly remedy: string
}

/** One sentence, for the status. */
export function describeFinding({ what, remedy }: Finding): string {
  return `${what}; ${remedy}`
}
