// The operations on nodes, for one requester over one table (the store itself or a transaction). Each checks paths,
// permissions and quotas, then acts, and records which nodes it changed, for the watches.
//
// Errors are those of Xen's xenstored: who may not read a node's nearest existing ancestor is told EACCES, not ENOENT.

import type { Changes } from './changes.ts';
import { type Children, namesFrom, without } from './children.ts';
import { StoreError } from './store-error.ts';
import { type NewNode, nodeSize, type NodeTable, type StoreNode, withChild } from './node-table.ts';
import { canonicalOrSpecial, canonicalPath, childPath, isSpecial, parentPath, upward } from './path.ts';
import { type Permissions, permits, type Requester, type Right } from './permissions.ts';
import { QUOTA } from './quota.ts';
import type { Usage } from './usage.ts';

const EMPTY = new Uint8Array(0);

export class View {
  private readonly table: NodeTable;
  private readonly who: Requester;
  private readonly changes: Changes;

  /** @param changes takes what the operations change, in order */
  constructor(table: NodeTable, who: Requester, changes: Changes) {
    this.table = table;
    this.who = who;
    this.changes = changes;
  }

  read(path: string): Uint8Array { return this.find(canonicalPath(path, this.who), 'read').value; }

  directory(path: string): { children: Children; generation: number } { return this.find(canonicalPath(path, this.who), 'read'); }

  permissions(path: string): Permissions { return this.find(canonicalPath(path, this.who), 'read').perms; }

  write(path: string, value: Uint8Array): void {
    const at = canonicalPath(path, this.who);
    const node = this.lookup(at, 'write');
    if (node) this.replace(at, { ...node, value });
    else this.create(at, value);
  }

  /** Creates an empty node; an existing one is left alone. */
  mkdir(path: string): void {
    const at = canonicalPath(path, this.who);
    if (!this.lookup(at, 'write')) this.create(at, EMPTY);
  }

  /** Removes a node and all below it. No node is no error, as long as its parent exists. */
  rm(path: string): void {
    const at = canonicalPath(path, this.who);
    const node = this.lookup(at, 'write');
    if (!node) {
      if (this.table.get(parentPath(at))) return;
      throw new StoreError('ENOENT');
    }
    if (at === '/') throw new StoreError('EINVAL');
    this.removeTree(at, node);
  }

  /** Sets the permissions of a node, or of a special event. */
  setPermissions(path: string, perms: Permissions): void {
    const at = canonicalOrSpecial(path, this.who);
    if (!this.who.privileged && perms.length > QUOTA.permsPerNode) throw new StoreError('ENOSPC');
    const node = this.find(at, 'owner');
    if (!this.who.privileged && perms[0].domid !== node.perms[0].domid) throw new StoreError('EPERM');
    this.replace(at, { ...node, perms }, node.perms);
  }

  /** Takes a domain that is gone out of a node: with the node, when it was the owner, or with its rights. */
  forget(at: string, domid: number): void {
    const node = this.table.get(at);
    if (!node) return; // it went with one above it
    const [owner, ...others] = node.perms;
    if (owner.domid === domid && at !== '/' && !isSpecial(at)) this.removeTree(at, node);
    else this.table.set(at, { ...node, perms: [owner.domid === domid ? { ...owner, domid: 0 } : owner, ...others.filter((p) => p.domid !== domid)] }, this.who.domid);
  }

  /** The node, if it exists; a StoreError when the requester lacks the right, or may not know. */
  private lookup(at: string, right: Right): StoreNode | undefined {
    const node = this.table.get(at);
    if (node) {
      if (!permits(node.perms, this.who, right)) throw new StoreError('EACCES');
      return node;
    }
    if (isSpecial(at)) throw new StoreError('ENOENT');
    if (!permits(this.ancestor(at).node.perms, this.who, right)) throw new StoreError('EACCES');
    return undefined;
  }

  private find(at: string, right: Right): StoreNode {
    const node = this.lookup(at, right);
    if (!node) throw new StoreError('ENOENT');
    return node;
  }

  private ancestor(at: string): { path: string; node: StoreNode } {
    for (const path of upward(parentPath(at))) {
      const node = this.table.get(path);
      if (node) return { path, node };
    }
    throw new StoreError('EIO'); // the root cannot be removed
  }

  /** Makes a node and its missing ancestors. Permissions come from the nearest ancestor; who is not privileged owns what it makes. */
  private create(at: string, value: Uint8Array): void {
    const { path: existing, node: ancestor } = this.ancestor(at);
    const names = at.slice(existing === '/' ? 1 : existing.length + 1).split('/');
    const { domid, privileged } = this.who;
    const [owner, ...others] = ancestor.perms;
    const perms: Permissions = [privileged ? owner : { ...owner, domid }, ...others];
    const keys = names.map(() => this.table.nextKey());
    const made: { path: string; node: NewNode }[] = [];
    for (let i = 0, path = existing; i < names.length; i++) {
      path = childPath(path, names[i] as string);
      const node = { value: i + 1 === names.length ? value : EMPTY, perms, children: undefined, key: keys[i] as number };
      made.push({ path, node: i + 1 < names.length ? withChild(node, keys[i + 1] as number, names[i + 1] as string) : node });
    }
    const parent = withChild(ancestor, keys[0] as number, names[0] as string);
    if (!privileged && this.table.owned(domid) + names.length > QUOTA.nodesPerDomain) throw new StoreError('ENOSPC');
    for (const { node } of made) this.checkSize(node);
    this.checkSize(parent);
    this.checkMemory([{ path: existing, node: parent }, ...made]);
    this.table.set(existing, parent, domid);
    for (const { path, node } of made) this.table.set(path, node, domid);
    this.changes.add(at, { perms, exact: false });
  }

  private replace(at: string, node: NewNode, oldPerms?: Permissions): void {
    this.checkSize(node);
    this.checkMemory([{ path: at, node }]);
    this.table.set(at, node, this.who.domid);
    if (!isSpecial(at)) this.changes.add(at, { perms: node.perms, oldPerms, exact: false });
  }

  private removeTree(at: string, node: StoreNode): void {
    const parentAt = parentPath(at);
    const parent = this.table.get(parentAt);
    if (!parent) throw new StoreError('EIO'); // every node has its parent
    const bereft = { ...parent, children: without(parent.children, node.key) };
    this.checkMemory([{ path: parentAt, node: bereft }]);
    this.table.set(parentAt, bereft, this.who.domid);
    this.changes.add(at, { perms: node.perms, exact: false });
    const doomed = [{ path: at, node }];
    for (let next; (next = doomed.pop());) {
      for (const leaf of namesFrom(next.node.children)) {
        const path = childPath(next.path, leaf);
        const child = this.table.get(path);
        if (!child) continue;
        doomed.push({ path, node: child });
        this.changes.add(path, { perms: child.perms, parentPerms: next.node.perms, exact: true });
      }
      this.table.set(next.path, undefined, this.who.domid);
    }
  }

  private checkSize(node: NewNode): void {
    if (!this.who.privileged && nodeSize(node) >= QUOTA.nodeSize) throw new StoreError('ENOSPC');
  }

  /** Before nodes are stored: that whoever pays for them has so much left. */
  private checkMemory(nodes: readonly { path: string; node: NewNode }[]): void {
    if (this.who.privileged) return;
    const growth = new Map<Usage, number>();
    for (const { path, node } of nodes) {
      const payer = this.table.payer(node.perms[0].domid);
      growth.set(payer, (growth.get(payer) ?? 0) + this.table.growth(path, node));
    }
    for (const [payer, bytes] of growth) {
      if (bytes > 0 && payer.memory + bytes > QUOTA.memory) throw new StoreError('ENOMEM');
    }
  }
}
