/*
 * Loaded before a program (node --import), it lets the clock of the machine be off by as many ms as the file
 * $SHIFTED_CLOCK says, as if somebody had set it. What measures how long something takes is left alone, as it is by
 * clock_settime(2).
 */
import { readFileSync } from 'node:fs'

const file = process.env['SHIFTED_CLOCK'] ?? ''
const RealDate = Date
const now = () => RealDate.now() + Number(readFileSync(file, 'utf8'))

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget) as Date,
  apply: () => new Date().toString(),
  get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
})
