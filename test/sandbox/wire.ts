import type { Host } from './host.ts'

/** Without the detection of duplicate addresses, an interface is ready at once. */
const withoutDetection = ['ipv6/conf/default/accept_dad=0', 'ipv6/conf/all/accept_dad=0']

/** Makes a host ready to be wired: to be called before it has any interface but lo. */
export async function prepare(host: Host, settings: readonly string[] = []): Promise<void> {
  const all = [...withoutDetection, ...settings]
  const commands = all.map((setting) => setting.replace(/(.*)=(.*)/, 'echo $2 > /proc/sys/net/$1'))
  await host.exec('sh', ['-c', ['ip link set lo up', ...commands].join(' && ')])
}

/** Gives ip(8) a list of commands in one go. */
export async function ip(host: Host, commands: readonly string[]): Promise<void> {
  await host.exec('ip', ['-batch', '-'], { input: commands.map((command) => `${command}\n`).join('') })
}

export type CableEnd = { readonly host: Host; readonly device: string }

let lastIndex = 100

/**
 * The command that lays a cable between two hosts. Each end gets a number of its own: the kernel takes up to a
 * second to tell an interface that its cable is plugged in when both ends have the same (`linkwatch_urgent_event`).
 */
export function cableCommand(one: CableEnd, other: CableEnd): string {
  const [first, second] = [one, other].map(({ host, device }) => {
    lastIndex += 1
    return `name ${device} index ${lastIndex} netns ${host.pid}`
  })
  return `link add ${first} type veth peer ${second}`
}

type Cable = { readonly router: readonly string[]; readonly host: readonly string[] }

/**
 * Lays a cable from the router to a host, whose only interface it becomes: eth0. Its default routes lead to the router's
 * first address, of IPv4, and to its last, of IPv6.
 */
export async function connect(
  router: Host,
  host: Host,
  name: string,
  { router: near, host: far }: Cable,
): Promise<void> {
  await ip(router, [
    cableCommand({ host: router, device: name }, { host, device: 'eth0' }),
    ...near.map((address) => addressCommand(address, name)),
    `link set ${name} up`,
  ])
  const [gateway4, gateway6] = [near[0], near.at(-1)].map((address) => address?.split('/')[0])
  await ip(host, [
    ...far.map((address) => addressCommand(address, 'eth0')),
    'link set eth0 up',
    `route add default via ${gateway4}`,
    `route add default via ${gateway6}`,
  ])
}

/** Without nodad an IPv6 address could not be used for its first second. */
export function addressCommand(address: string, device: string): string {
  return `address add ${address} dev ${device}${address.includes(':') ? ' nodad' : ''}`
}

/** Waits until the kernel has told every interface that its cable is plugged in; IPv6 waits for that. */
export async function settled(host: Host): Promise<void> {
  await host.exec('sh', ['-c', waitUntilSettled])
}

const waitUntilSettled = `
while ip -oneline link show up | grep --quiet --extended-regexp 'state (LOWERLAYER)?DOWN' ||
  ip -oneline -6 address show tentative | grep --quiet .
do sleep 0.005; done`
