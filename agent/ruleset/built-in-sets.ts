/** Sets that every ruleset may name and none may define. `private` is RFC 1918 and RFC 4193. */
export const builtInSets = {
  any: ['0.0.0.0/0', '::/0'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
} as const
