/**
 * What an import has to say of a line of its source:
 * - lost: it is not in the ruleset;
 * - changed: it is, but its effect is another one;
 * - covered: it needs no rule, since that is so without one, or since others see to it;
 * - advice: all is well, and yet its author should know.
 */
export type NoteKind = 'lost' | 'changed' | 'covered' | 'advice'

/** Lines count from 1; 0 stands for the file as a whole. */
export type Note = { readonly line: number; readonly kind: NoteKind; readonly message: string }

const labels: Readonly<Record<NoteKind, string>> = {
  lost: 'not carried over',
  changed: 'changed',
  covered: 'covered',
  advice: 'note',
}

/** One line a note, as compilers print them: `PATH:LINE: kind: message`. */
export function formatNote(path: string, { line, kind, message }: Note): string {
  return `${path}:${Math.max(1, line)}: ${labels[kind]}: ${message}`
}

/** Whether the ruleset means what its source meant. */
export function isFaithful(notes: readonly Note[]): boolean {
  return notes.every(({ kind }) => kind === 'covered' || kind === 'advice')
}

/** In order of lines, each once: loops and chains that several rules jump to say the same again. */
export function sortNotes(notes: readonly Note[]): Note[] {
  const unique = new Map(notes.map((note) => [`${note.line} ${note.kind} ${note.message}`, note]))
  return [...unique.values()].toSorted((a, b) => a.line - b.line)
}
