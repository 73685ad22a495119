/** What somebody else wrote, as one line that a terminal can only print: no control characters, no hidden ones. */
export function plainLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim()
}

/** JSON in which also those control characters are escaped that JSON allows. */
export function plainJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replaceAll(/[\u007F-\u009F]/g, escape)
}

function escape(character: string): string {
  return `\\u00${character.charCodeAt(0).toString(16)}`
}
