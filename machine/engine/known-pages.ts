// Pages that compiled code has reached through a base register already. The next access through the same register is likely
// to be in the same page, as fields of a structure are: it compares its page with that one and asks the TLB only if they
// differ. What is known holds as long as translations do, whatever the register holds by then.

import { PAGE_SIZE } from '#base/capsule.ts';
import type { Fn, Var } from '../wasm/fn.ts';

/** A page in locals of the function. */
export interface KnownPage {
  readonly page: Var;
  /** capsule offset less linear address */
  readonly add: Var;
}
/** What leads to a page: a base register by number, or a page of constant addresses. */
export type PageKey = number | string;
interface Holding { readonly slot: number; readonly writable: boolean }
export type PageKnowledge = ReadonlyMap<PageKey, Holding>;

const SLOTS = 4;
/** Most bytes of an access, 16 as vectors have; and bytes at a page's beginning in which one may begin, so that it is within the page. */
export const MAX_ACCESS = 16, ROOM = PAGE_SIZE - MAX_ACCESS + 1;

export class KnownPages {
  private readonly fn: Fn;
  private readonly slots: readonly KnownPage[];
  /** by key, the one used last at the end */
  private held = new Map<PageKey, Holding>();
  private nesting = 0;

  constructor(fn: Fn) {
    this.fn = fn;
    this.slots = Array.from({ length: SLOTS }, () => ({ page: fn.var('i64'), add: fn.var('i32') }));
  }
  /** A block begins. @param knowledge what is known where it is come from, if that is one place */
  begin(knowledge: PageKnowledge | undefined): void {
    this.held = new Map(knowledge);
    this.nesting = this.fn.nesting;
  }
  get knowledge(): PageKnowledge { return new Map(this.held); }
  /** Translations may have changed. */
  forget(): void { this.held.clear(); }
  /** The register leads elsewhere now. */
  drop(key: PageKey): void { this.held.delete(key); }

  /** What is written here is executed whenever its block is. */
  get isPlain(): boolean { return this.fn.nesting === this.nesting; }

  /** The page that was reached last by a key. @param write it has to be writable */
  find(key: PageKey, write: boolean): KnownPage | undefined {
    const holding = this.held.get(key);
    if (!holding || (write && !holding.writable) || !this.isPlain) return undefined;
    this.held.delete(key);
    this.held.set(key, holding);
    return this.slots[holding.slot];
  }
  /** Where an access by a key is to note its page; undefined where what is noted would not be known later. */
  note(key: PageKey, write: boolean): KnownPage | undefined {
    if (!this.isPlain) return undefined;
    const slot = this.held.get(key)?.slot ?? this.freeSlot();
    this.held.delete(key);
    this.held.set(key, { slot, writable: write });
    return this.slots[slot];
  }
  private freeSlot(): number {
    const used = new Set([...this.held.values()].map((h) => h.slot));
    for (let slot = 0; slot < SLOTS; slot++) if (!used.has(slot)) return slot;
    const [oldest, { slot }] = this.held.entries().next().value as [PageKey, Holding];
    this.held.delete(oldest);
    return slot;
  }
}
