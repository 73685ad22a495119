import ipaddr from 'ipaddr.js'
import type { Entry } from './entry.ts'

/**
 * The netlink message that deletes one entry and no other: by its first direction, its zone and its id. See
 * linux/netfilter/nfnetlink_conntrack.h.
 */
export function deleteMessage(entry: Entry): Uint8Array {
  const { family, id, zone, origZone } = entry
  const payload = [
    // struct nfgenmsg: AF_INET or AF_INET6, version, resource
    Uint8Array.of(family === 'ipv4' ? 2 : 10, 0, 0, 0),
    nested(1, [
      addresses(entry),
      nested(2, protocol(entry)),
      ...(origZone === undefined ? [] : [attribute(3, big16(origZone))]),
    ]),
    ...(id === undefined ? [] : [attribute(12, big32(id))]),
    ...(zone === 0 ? [] : [attribute(18, big16(zone))]),
  ]
  return header(Buffer.concat(payload))
}

/** struct nlmsghdr: length, NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST; no answer is asked for. */
function header(payload: Uint8Array): Uint8Array {
  const length = 16 + payload.length
  return Buffer.concat([native32(length), native16((1 << 8) | 2), native16(1), new Uint8Array(8), payload])
}

function addresses({ family, orig }: Entry): Uint8Array {
  const [source, destination] = family === 'ipv4' ? [1, 2] : [3, 4]
  return nested(1, [attribute(source, bytesOf(orig.src)), attribute(destination, bytesOf(orig.dst))])
}

function protocol({ family, protocol: number, orig, icmp }: Entry): Uint8Array[] {
  const [id, type, code] = family === 'ipv4' ? [4, 5, 6] : [7, 8, 9]
  return [
    attribute(1, Uint8Array.of(number)),
    ...(orig.sport === undefined ? [] : [attribute(2, big16(orig.sport))]),
    ...(orig.dport === undefined ? [] : [attribute(3, big16(orig.dport))]),
    ...(icmp === undefined
      ? []
      : [
          attribute(id, big16(icmp.id)),
          attribute(type, Uint8Array.of(icmp.type)),
          attribute(code, Uint8Array.of(icmp.code)),
        ]),
  ]
}

const nestedFlag = 0x8000

function nested(type: number, attributes: readonly Uint8Array[]): Uint8Array {
  return attribute(type | nestedFlag, Buffer.concat(attributes))
}

/** struct nlattr: length without the padding to 4 bytes, type, value. */
function attribute(type: number, value: Uint8Array): Uint8Array {
  const padding = new Uint8Array((4 - (value.length % 4)) % 4)
  return Buffer.concat([native16(4 + value.length), native16(type), value, padding])
}

function bytesOf(address: string): Uint8Array {
  return Uint8Array.from(ipaddr.parse(address).toByteArray())
}

/** Headers are in the byte order of the machine, addresses and ports in that of the network. */
function native16(number: number): Uint8Array {
  return new Uint8Array(Uint16Array.of(number).buffer)
}

function native32(number: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(number).buffer)
}

function big16(number: number): Uint8Array {
  return Uint8Array.of(number >>> 8, number & 0xff)
}

function big32(number: number): Uint8Array {
  return Uint8Array.of(number >>> 24, (number >>> 16) & 0xff, (number >>> 8) & 0xff, number & 0xff)
}
