import { join } from 'node:path'
import type { Host } from './host.ts'

export type BpfHook = 'xdp' | 'tc' | 'tcx'

const script = join(import.meta.dirname, 'attach-bpf.pl')
const bpfCall = { x64: 321, arm64: 280 } as const

/** Attaches a BPF program to what comes in on an interface; it stays until the interface goes. */
export async function attachBpf(
  host: Host,
  hook: BpfHook,
  device: string,
  { name, instructions }: { readonly name: string; readonly instructions: string },
): Promise<void> {
  const call = String(process.arch === 'arm64' ? bpfCall.arm64 : bpfCall.x64)
  const load = [script, call, hook === 'xdp' ? '6' : '3', name, instructions]
  if (hook === 'tcx') {
    await host.exec('perl', [...load, 'tcx', String(await indexOf(host, device))])
    return
  }
  const pin = '/sys/fs/bpf/program'
  const attach = {
    xdp: `ip link set dev ${device} xdpgeneric pinned ${pin}`,
    tc: `tc qdisc add dev ${device} clsact && tc filter add dev ${device} ingress bpf direct-action object-pinned ${pin}`,
  }[hook]
  // ip(8) and tc(8) take programs from a file only: here one of a mount that nobody else sees.
  const commands = `mount -t bpf bpf /sys/fs/bpf && perl "$@" pin ${pin} && ${attach}`
  await host.exec('unshare', ['--mount', 'sh', '-c', commands, 'sh', ...load])
}

/** The number of an interface. */
export async function indexOf(host: Host, device: string): Promise<number> {
  const { stdout } = await host.exec('ip', ['-json', 'link', 'show', 'dev', device])
  const [link] = JSON.parse(stdout) as [{ ifindex: number }]
  return link.ifindex
}

/** Lets everything pass: XDP_PASS, or the TC_ACT_OK of tc. */
export function passing(hook: BpfHook): string {
  return instruction(0xb7, 0x00, 0, hook === 'xdp' ? 2 : 0) + exit
}

/** Hands every IPv4 packet to the other end of a cable, as if it had come in there: bpf_redirect_peer, helper 155. */
export function redirectingTo(index: number): string {
  return [
    instruction(0x61, 0x12, 16, 0), // r2 = skb->protocol
    instruction(0x55, 0x02, 4, 0x0008), // if (r2 != htons(ETH_P_IP)) skip four
    instruction(0xb7, 0x01, 0, index),
    instruction(0xb7, 0x02, 0, 0),
    instruction(0x85, 0x00, 0, 155),
    exit,
    instruction(0xb7, 0x00, 0, 0),
    exit,
  ].join('')
}

/** struct bpf_insn: code, registers, offset, constant. */
function instruction(code: number, registers: number, offset: number, constant: number): string {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt8(code, 0)
  bytes.writeUInt8(registers, 1)
  bytes.writeInt16LE(offset, 2)
  bytes.writeInt32LE(constant, 4)
  return bytes.toString('hex')
}

const exit = instruction(0x95, 0, 0, 0)
