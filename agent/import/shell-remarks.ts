type Comments = ReadonlyMap<number, { readonly text: string; readonly alone: boolean }>

/** Finds what the author of a script wrote beside a line, or above the lines that it is one of. */
export function remarkAbove(
  lines: readonly string[],
  comments: Comments,
): (line: number) => string | undefined {
  return (line) => {
    const beside = comments.get(line)
    if (beside !== undefined && speaks(beside.text)) return beside.text
    for (let above = line - 1; above > 0 && (lines[above - 1] ?? '').trim() !== ''; above -= 1) {
      const comment = comments.get(above)
      if (comment?.alone === true) return speaks(comment.text) ? comment.text : undefined
    }
    return undefined
  }
}

/** Not a line of dashes, nor a command that somebody switched off. */
function speaks(text: string): boolean {
  return /[A-Za-z]{2}/.test(text) && !/ip6?tables|^!|^\$|^[-=#*]{3}/.test(text)
}
