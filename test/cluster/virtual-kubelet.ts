import type { ApiServer } from './api-server.ts'

/** Renews the Lease of a Node, often enough that nobody has to wait for it. */
export type VirtualKubelet = {
  /** Its clock, which is that of its node, is off by so many ms. */
  setClock(ms: number): void
  pause(): void
  goOn(): void
}

const everyMs = 250
/** So the agent looks again after a second and a half; in a real cluster it is 40, and 10. */
const seconds = 6

export function startKubelet(server: ApiServer, node: string): VirtualKubelet {
  let offset = 0
  const renew = () => server.objects.renewLease(node, { at: new Date(Date.now() + offset), seconds })
  let timer: NodeJS.Timeout | undefined
  const kubelet = {
    setClock: (ms: number) => void (offset = ms),
    pause: () => clearInterval(timer),
    goOn() {
      renew()
      clearInterval(timer)
      timer = setInterval(renew, everyMs)
    },
  }
  kubelet.goOn()
  return kubelet
}
