// A priority queue whose members can be taken out or moved at any time: a binary heap that knows where each one is. Every
// operation takes the logarithm of the number of members.

export class Heap<T> {
  private readonly before: (a: T, b: T) => boolean;
  private readonly members: T[] = [];
  private readonly places = new Map<T, number>();

  /** @param before whether `a` comes before `b`; may change for a member only if it is `put` again then */
  constructor(before: (a: T, b: T) => boolean) { this.before = before; }

  get size(): number { return this.members.length; }
  get first(): T | undefined { return this.members[0]; }
  has(member: T): boolean { return this.places.has(member); }
  /** All, in no order. */
  [Symbol.iterator](): Iterator<T> { return this.members.values(); }

  /** Adds a member; one that is there already is put where it belongs now. */
  put(member: T): void {
    if (this.places.has(member)) return this.moved(member);
    this.members.push(member);
    this.places.set(member, this.members.length - 1);
    this.up(this.members.length - 1);
  }
  /** @returns false when it is not there */
  remove(member: T): boolean {
    const at = this.places.get(member);
    if (at === undefined) return false;
    this.places.delete(member);
    const last = this.members.pop() as T;
    if (last === member) return true;
    this.members[at] = last;
    this.places.set(last, at);
    this.moved(last);
    return true;
  }
  /** A member's order has changed. */
  private moved(member: T): void { this.down(this.up(this.places.get(member) as number)); }

  private up(at: number): number {
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.before(this.members[at] as T, this.members[parent] as T)) break;
      this.swap(at, parent);
      at = parent;
    }
    return at;
  }
  private down(at: number): void {
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (child < this.members.length && this.before(this.members[child] as T, this.members[least] as T)) least = child;
      if (least === at) return;
      this.swap(at, least);
      at = least;
    }
  }
  private swap(a: number, b: number): void {
    const [x, y] = [this.members[a] as T, this.members[b] as T];
    this.members[a] = y;
    this.members[b] = x;
    this.places.set(y, a);
    this.places.set(x, b);
  }
}
