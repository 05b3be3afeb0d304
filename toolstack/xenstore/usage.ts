// What each domain has taken of the store, against its quotas.

export interface Usage {
  /** nodes that it owns */
  nodes: number;
  watches: number;
  transactions: number;
  /** bytes of its nodes, watches and transactions */
  memory: number;
}

/** Bytes that a watch, an entry of a transaction and the like take beside the strings that they hold. */
export const OVERHEAD = 64;

export class UsageTable {
  private readonly domains = new Map<number, Usage>();

  /** A domain's counts, to be changed in place. */
  of(domid: number): Usage {
    let usage = this.domains.get(domid);
    if (!usage) this.domains.set(domid, usage = { nodes: 0, watches: 0, transactions: 0, memory: 0 });
    return usage;
  }

  /** Forgets a domain that is gone, unless something of it is left. */
  release(domid: number): void {
    const { nodes, watches, transactions } = this.of(domid);
    if (nodes + watches + transactions === 0) this.domains.delete(domid);
  }

  [Symbol.iterator](): MapIterator<[number, Usage]> { return this.domains.entries(); }
}
