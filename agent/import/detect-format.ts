export const formats = ['script', 'iptables-save', 'ufw', 'calico'] as const
export type Format = (typeof formats)[number]

/** Tells a format from what only it has. A shell script is what is none of the others. */
export function detectFormat(text: string): Format {
  // What a machine with ufw saves names its chains too, but has the base chains beside them.
  if (/^:INPUT /m.test(text) && /^\*filter/m.test(text) && !/^#!|^\s*ip6?tables\b/m.test(text))
    return 'iptables-save'
  if (/^### (tuple|RULES) ###/m.test(text) || /^[:-].*\bufw6?-user-input\b/m.test(text)) return 'ufw'
  if (/^\s*["']?apiVersion["']?:\s*["']?(crd\.)?projectcalico\.org\//m.test(text)) return 'calico'
  // A script may hold such lines too, in a here-document, but begins with something else.
  const first = text.split('\n').find((line) => line.trim() !== '' && !line.startsWith('#'))
  return first !== undefined && /^\*[a-z]+\s*$/.test(first) ? 'iptables-save' : 'script'
}
