/*
 * A process that opens connections and keeps them, as a kubelet does.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import { serveMethods } from './service.ts'

const methods = {
  async hold(host: string, port: number): Promise<void> {
    await once(connect({ host, port }), 'connect')
  },
}
export type HoldMethods = typeof methods
serveMethods(methods)
