/** Lengths of prefixes as published lists have them: the kernel looks for an address once for each that a set holds. */
const prefixes = [24, 32, 22, 24, 23, 20, 24, 30, 21, 28]

/** Places that are 8,192 addresses apart, from 16.0.0.0 to 127.255.224.0. */
const places = 112 * 2_048

/**
 * As many IPv4 networks in no order, spread over the lower half of all addresses; none holds another or could be
 * merged with it. The first 10 have prefixes of all the lengths there are. Another `from` gives others.
 */
export function spreadNetworks(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => {
    // A prime that divides the number of places by no whole number leads to each of them once.
    const place = ((from + index) * 7_919) % places
    return `${dotted(0x10_00_00_00 + place * 8_192)}/${prefixes[index % prefixes.length]}`
  })
}

/** Addresses in none of these networks, each another one. */
export function otherAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    dotted(0x80_00_00_00 + ((index * 7_919_003) % 0x40_00_00_00)),
  )
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.')
}
