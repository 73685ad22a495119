/** Ends what takes too long: `signal` aborts when `push` was not called in time, or when `parent` aborts. */
export type Guard = {
  readonly signal: AbortSignal
  readonly expired: () => boolean
  /** Something happened: from now on another `ms` may pass. */
  readonly push: (ms: number) => void
  /** It is over: no timer and no listener stay behind. */
  readonly release: () => void
}

export function startGuard(ms: number, parent?: AbortSignal): Guard {
  const controller = new AbortController()
  let expired = false
  const expire = () => {
    expired = true
    controller.abort()
  }
  const follow = () => controller.abort(parent?.reason)
  let timer = setTimeout(expire, ms)
  if (parent?.aborted === true) follow()
  parent?.addEventListener('abort', follow, { once: true })
  return {
    signal: controller.signal,
    expired: () => expired,
    push(nextMs) {
      clearTimeout(timer)
      timer = setTimeout(expire, nextMs)
    },
    release() {
      clearTimeout(timer)
      parent?.removeEventListener('abort', follow)
    },
  }
}
