// The watches, by path and by client's domain. A change looks at its own path and the paths above it, and there at
// the domains that the permissions name; so it costs what the path is deep and what events it causes, and not what
// other domains watch. Only where a node may be read by everybody are all who watch it asked.

import type { Cause } from './outbox.ts';
import { isSpecial, upward } from './path.ts';
import { type Permissions, permits, type Requester } from './permissions.ts';

export interface Watcher {
  readonly who: Requester;
  /** absolute path, or the name of a special event */
  readonly path: string;
  /**
   * @param path absolute path of the node that changed
   * @param cause whose request changed it, if it was not one of domain 0's
   */
  fire(path: string, cause?: Cause): void;
}

type Point = Map<number, Set<Watcher>>;

export class WatchTable {
  private readonly points = new Map<string, Point>();
  /** the order of registration, in which watches fire */
  private readonly order = new Map<Watcher, number>();
  /** domains that act for a domain */
  private readonly agents = new Map<number, Set<number>>();
  private next = 0;

  get size(): number { return this.order.size; }

  has(watcher: Watcher): boolean { return this.order.has(watcher); }

  add(watcher: Watcher): void {
    let point = this.points.get(watcher.path);
    if (!point) this.points.set(watcher.path, point = new Map());
    const own = point.get(watcher.who.domid);
    if (own) own.add(watcher);
    else point.set(watcher.who.domid, new Set([watcher]));
    this.order.set(watcher, this.next++);
  }

  remove(watcher: Watcher): void {
    if (!this.order.delete(watcher)) return;
    const point = this.points.get(watcher.path) as Point;
    const own = point.get(watcher.who.domid) as Set<Watcher>;
    own.delete(watcher);
    if (own.size === 0) point.delete(watcher.who.domid);
    if (point.size === 0) this.points.delete(watcher.path);
  }

  /** From now on the client has the rights of `target` beside its own, or only its own. */
  setTarget(who: Requester, target: number | undefined): void {
    if (who.target !== undefined) {
      const agents = this.agents.get(who.target);
      agents?.delete(who.domid);
      if (agents?.size === 0) this.agents.delete(who.target);
    }
    who.target = target;
    if (target === undefined) return;
    const agents = this.agents.get(target);
    if (agents) agents.add(who.domid);
    else this.agents.set(target, new Set([who.domid]));
  }

  /** The domains that act for this one. */
  agentsOf(domid: number): readonly number[] { return [...this.agents.get(domid) ?? []]; }

  /**
   * The watches that a change of `path` fires, in their order.
   * @param exact only those on the path itself
   * @param perms who may read by one of these learns of the change
   */
  matching(path: string, exact: boolean, perms: readonly Permissions[]): readonly Watcher[] {
    const found: Watcher[] = [];
    const readers = this.readers(perms);
    for (const at of exact || isSpecial(path) ? [path] : upward(path)) {
      const point = this.points.get(at);
      if (!point) continue;
      for (const domid of readers ?? point.keys()) {
        for (const watcher of point.get(domid) ?? []) if (perms.some((p) => permits(p, watcher.who, 'read'))) found.push(watcher);
      }
    }
    return found.sort((a, b) => (this.order.get(a) ?? 0) - (this.order.get(b) ?? 0));
  }

  /** The domains that may be able to read; undefined when it may be any. */
  private readers(perms: readonly Permissions[]): Set<number> | undefined {
    const domids = new Set([0]);
    for (const list of perms) {
      if (list[0].read) return undefined;
      for (const { domid } of list) {
        domids.add(domid);
        for (const agent of this.agents.get(domid) ?? []) domids.add(agent);
      }
    }
    return domids;
  }
}
