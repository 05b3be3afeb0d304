// First in, first out, at the same cost however many wait.

export class Queue<T> {
  private items: T[] = [];
  private head = 0;

  get length(): number { return this.items.length - this.head; }
  get first(): T | undefined { return this.items[this.head]; }

  push(item: T): void { this.items.push(item); }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.items[this.head++];
    if (this.head > 64 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }
}
