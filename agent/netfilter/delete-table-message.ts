import type { Family } from '../ruleset/address.ts'

/** linux/netfilter/nfnetlink.h and nf_tables.h */
const nfTables = 10
const batchBegin = 0x10
const batchEnd = 0x11
const deleteTable = (nfTables << 8) | 2
const deleteChain = (nfTables << 8) | 5
const request = 1
/** NLM_F_NONREC: refuse what is not empty, instead of deleting all that is in it. nft(8) cannot ask for that. */
const notRecursive = 0x100

/**
 * The netlink messages that delete the filter table of a family together with one empty chain in it; or nothing, when
 * the table holds anything else.
 */
export function deleteTableMessage(family: Family, chain: string): Uint8Array {
  const protocol = family === 'ipv4' ? 2 : 10
  return Buffer.concat([
    message(batchBegin, request, 0, nfTables, []),
    message(deleteChain, request | notRecursive, protocol, 0, [attribute(1, 'filter'), attribute(3, chain)]),
    message(deleteTable, request | notRecursive, protocol, 0, [attribute(1, 'filter')]),
    message(batchEnd, request, 0, nfTables, []),
  ])
}

/** struct nlmsghdr, struct nfgenmsg: family, version, resource in the byte order of the network. */
function message(
  type: number,
  flags: number,
  family: number,
  resource: number,
  attributes: readonly Uint8Array[],
): Uint8Array {
  const payload = Buffer.concat([Uint8Array.of(family, 0, resource >>> 8, resource & 0xff), ...attributes])
  return Buffer.concat([
    native32(16 + payload.length),
    native16(type),
    native16(flags),
    new Uint8Array(8),
    payload,
  ])
}

/** struct nlattr: length without the padding to 4 bytes, type, value: here text that ends with a zero. */
function attribute(type: number, text: string): Uint8Array {
  const value = Buffer.from(`${text}\0`)
  const padding = new Uint8Array((4 - (value.length % 4)) % 4)
  return Buffer.concat([native16(4 + value.length), native16(type), value, padding])
}

/** Headers are in the byte order of the machine. */
function native16(number: number): Uint8Array {
  return new Uint8Array(Uint16Array.of(number).buffer)
}

function native32(number: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(number).buffer)
}
