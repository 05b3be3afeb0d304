// The operations on nodes, for one requester over one table (the store itself or a transaction). Each checks paths,
// permissions and quotas, then acts, and records which nodes it changed, for the watches.
//
// Errors are those of Xen's xenstored: who may not read a node's nearest existing ancestor is told EACCES, not ENOENT.

import { StoreError } from './store-error.ts';
import type { NodeTable, StoreNode } from './node-table.ts';
import { canonicalPath, childPath, leafName, parentPath } from './path.ts';
import { type Permissions, permits, type Requester, type Right } from './permissions.ts';
import { QUOTA } from './quota.ts';

/** One node that changed, for the watches. */
export interface Change {
  readonly path: string;
  /** the node as it is, or as it was when it was removed */
  readonly node: StoreNode;
  /** permissions before, when they changed: who could read the node then learns of it */
  readonly oldPerms?: Permissions;
  /** fires only watches on exactly this node: it went with an ancestor, whose own change fires the others */
  readonly exact: boolean;
}

type NewNode = Omit<StoreNode, 'generation'>;
const EMPTY = new Uint8Array(0);

export class View {
  private readonly table: NodeTable;
  private readonly who: Requester;
  private readonly changes: Change[];

  /** @param changes takes what the operations change, in order */
  constructor(table: NodeTable, who: Requester, changes: Change[]) {
    this.table = table;
    this.who = who;
    this.changes = changes;
  }

  read(path: string): Uint8Array { return this.find(this.canonical(path), 'read').value; }

  directory(path: string): { children: readonly string[]; generation: number } { return this.find(this.canonical(path), 'read'); }

  permissions(path: string): Permissions { return this.find(this.canonical(path), 'read').perms; }

  exists(path: string): boolean { return this.table.get(this.canonical(path)) !== undefined; }

  write(path: string, value: Uint8Array): void {
    const at = this.canonical(path);
    const node = this.lookup(at, 'write');
    this.put(at, node ? { ...node, value } : this.created(at, value));
  }

  /** Creates an empty node; an existing one is left alone. */
  mkdir(path: string): void {
    const at = this.canonical(path);
    if (!this.lookup(at, 'write')) this.put(at, this.created(at, EMPTY));
  }

  /** Removes a node and all below it. No node is no error, as long as its parent exists. */
  rm(path: string): void {
    const at = this.canonical(path);
    const node = this.lookup(at, 'write');
    if (!node) {
      if (this.table.get(parentPath(at))) return;
      throw new StoreError('ENOENT');
    }
    if (at === '/') throw new StoreError('EINVAL');
    const parentAt = parentPath(at);
    const parent = this.table.get(parentAt);
    if (!parent) throw new StoreError('EINVAL');
    this.checkSize();
    this.table.set(parentAt, { ...parent, children: parent.children.filter((c) => c !== leafName(at)) });
    this.remove(at, node, false);
  }

  setPermissions(path: string, perms: Permissions): void {
    const at = this.canonical(path);
    if (!this.who.privileged && perms.length > QUOTA.permsPerNode) throw new StoreError('ENOSPC');
    const node = this.find(at, 'owner');
    if (!this.who.privileged && perms[0].domid !== node.perms[0].domid) throw new StoreError('EPERM');
    this.put(at, { ...node, perms }, node.perms);
  }

  private canonical(path: string): string { return canonicalPath(path, this.who.domid); }

  /** The node, if it exists; a StoreError when the requester lacks the right, or may not know. */
  private lookup(at: string, right: Right): StoreNode | undefined {
    const node = this.table.get(at);
    if (node) {
      if (!permits(node.perms, this.who, right)) throw new StoreError('EACCES');
      return node;
    }
    if (!permits(this.ancestor(at).node.perms, this.who, right)) throw new StoreError('EACCES');
    return undefined;
  }

  private find(at: string, right: Right): StoreNode {
    const node = this.lookup(at, right);
    if (!node) throw new StoreError('ENOENT');
    return node;
  }

  private ancestor(at: string): { path: string; node: StoreNode } {
    for (let path = parentPath(at); ; path = parentPath(path)) {
      const node = this.table.get(path);
      if (node) return { path, node };
      if (path === '/') throw new StoreError('EIO'); // the root cannot be removed
    }
  }

  /** A new node, with its missing ancestors made and entered in their parents. Permissions come from the ancestor. */
  private created(at: string, value: Uint8Array): NewNode {
    const { path: existing, node: ancestor } = this.ancestor(at);
    const names = at.slice(existing === '/' ? 1 : existing.length + 1).split('/');
    const { domid, privileged } = this.who;
    if (!privileged && this.table.entries(domid) + names.length > QUOTA.nodesPerDomain) throw new StoreError('ENOSPC');
    const [owner, ...others] = ancestor.perms;
    const perms: Permissions = [privileged ? owner : { ...owner, domid }, ...others];
    const node = { value, perms, children: [] };
    this.checkNode(node);
    this.checkSize();
    this.addChild(existing, ancestor, names[0] as string);
    let path = existing;
    for (let i = 0; i + 1 < names.length; i++) {
      path = childPath(path, names[i] as string);
      this.table.set(path, { value: EMPTY, perms, children: [names[i + 1] as string] });
    }
    return node;
  }

  private addChild(path: string, node: StoreNode, leaf: string): void {
    const grown = { ...node, children: [...node.children, leaf] };
    this.checkNode(grown);
    this.table.set(path, grown);
  }

  private put(at: string, node: NewNode, oldPerms?: Permissions): void {
    this.checkNode(node);
    this.checkSize();
    this.table.set(at, node);
    this.changes.push({ path: at, node: this.table.get(at) as StoreNode, exact: false, ...(oldPerms && { oldPerms }) });
  }

  private remove(at: string, node: StoreNode, exact: boolean): void {
    this.table.set(at, undefined);
    this.changes.push({ path: at, node, exact });
    for (const leaf of node.children) {
      const path = childPath(at, leaf);
      const child = this.table.get(path);
      if (child) this.remove(path, child, true);
    }
  }

  private checkNode(node: NewNode): void {
    if (this.who.privileged) return;
    const size = QUOTA.nodeHeader + node.perms.length * 8 + node.value.length + node.children.reduce((n, c) => n + c.length + 1, 0);
    if (size >= QUOTA.nodeSize) throw new StoreError('ENOSPC');
  }

  private checkSize(): void {
    if (!this.who.privileged && this.table.touched > QUOTA.nodesPerTransaction) throw new StoreError('ENOSPC');
  }
}
