import type { Dataplane } from '../../agent/bypass/dataplane.ts'

/** A node with nothing beside its rules. */
export const bare: Dataplane = {
  programs: [],
  unseen: [],
  switched: [],
  hasCalicoDevices: false,
  tables: [],
  untracked: [],
  unread: [],
}
