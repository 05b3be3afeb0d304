// What operations changed, for the watches: each node once, in the order of its first change.

import type { Permissions } from './permissions.ts';

export interface Change {
  /** of the node as it is, or as it was when it was removed */
  readonly perms: Permissions;
  /** when they changed: who could read the node before learns of it */
  readonly oldPerms?: Permissions | undefined;
  /** of its parent, when that is removed too: who may read the parent knows of its children */
  readonly parentPerms?: Permissions;
  /** fires only watches on exactly this node: it went with an ancestor, whose own change fires the others */
  readonly exact: boolean;
}

export class Changes {
  private readonly byPath = new Map<string, Change>();

  add(path: string, change: Change): void {
    const earlier = this.byPath.get(path);
    this.byPath.set(path, earlier ? { ...change, oldPerms: earlier.oldPerms ?? change.oldPerms, exact: earlier.exact && change.exact } : change);
  }

  [Symbol.iterator](): MapIterator<[string, Change]> { return this.byPath.entries(); }
}
