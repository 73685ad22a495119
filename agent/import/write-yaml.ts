import { Document, isScalar, visit } from 'yaml'
import type { ImportedDocument } from './document.ts'
import { formatNote } from './note.ts'
import type { Note } from './note.ts'

/** The text of a document, with what is to be said of it as comments at its head. */
export function writeYaml(document: ImportedDocument, notes: readonly Note[], path: string): string {
  const yaml = new Document(document, { aliasDuplicateObjects: false })
  visit(yaml, {
    Seq: (_, node) => {
      if (node.items.every(isScalar)) node.flow = true
    },
  })
  const head = notes.map((note) => `# ${formatNote(path, note).replace(/\s+/g, ' ')}\n`).join('')
  return `# Imported from ${path.replace(/\s+/g, ' ')}\n${head}${yaml.toString({ lineWidth: 110, flowCollectionPadding: false })}`
}
