// The names of a node's children, in the order of their creation, as an immutable weight-balanced tree: a directory
// with a child for every domain costs the logarithm of its size to change, and whoever holds an older one keeps it.
// A child is found by its key, a number that grows with each node that is created; the child's own record has it.

/** No children are `undefined`. */
export type Children = Tree | undefined;

interface Tree {
  readonly left: Children;
  readonly right: Children;
  readonly key: number;
  readonly name: string;
  readonly count: number;
  /** of all names, each with a zero byte behind it */
  readonly bytes: number;
}

/** No side has more than WEIGHT times as many as the other (Adams' trees, with the parameters shown to be sound). */
const WEIGHT = 3, RATIO = 2;

export const countOf = (c: Children): number => c?.count ?? 0;
export const bytesOf = (c: Children): number => c?.bytes ?? 0;

/** @param key greater than those of all in `c` */
export function append(c: Children, key: number, name: string): Tree {
  return c ? balance(c.left, c, append(c.right, key, name)) : join(undefined, { key, name }, undefined);
}

/** The children but the one of this key. */
export function without(c: Children, key: number): Children {
  if (!c) return undefined;
  if (key < c.key) return balance(without(c.left, key), c, c.right);
  if (key > c.key) return balance(c.left, c, without(c.right, key));
  return glue(c.left, c.right);
}

/** The names, from `offset` bytes into their list on: a name is cut when the offset is within it. */
export function* namesFrom(c: Children, offset = 0): Generator<string, void> {
  if (!c || offset >= c.bytes) return;
  const left = bytesOf(c.left), own = c.name.length + 1;
  if (offset < left) yield* namesFrom(c.left, offset);
  if (offset < left + own) yield c.name.slice(Math.max(0, offset - left));
  yield* namesFrom(c.right, Math.max(0, offset - left - own));
}

type Entry = Pick<Tree, 'key' | 'name'>;

function join(left: Children, { key, name }: Entry, right: Children): Tree {
  return { left, right, key, name, count: countOf(left) + countOf(right) + 1, bytes: bytesOf(left) + bytesOf(right) + name.length + 1 };
}

function balance(left: Children, entry: Entry, right: Children): Tree {
  const l = countOf(left), r = countOf(right);
  if (l + r <= 1) return join(left, entry, right);
  if (right && r > WEIGHT * l) {
    const { left: inner, right: outer } = right;
    if (!inner || countOf(inner) < RATIO * countOf(outer)) return join(join(left, entry, inner), right, outer);
    return join(join(left, entry, inner.left), inner, join(inner.right, right, outer));
  }
  if (left && l > WEIGHT * r) {
    const { left: outer, right: inner } = left;
    if (!inner || countOf(inner) < RATIO * countOf(outer)) return join(outer, left, join(inner, entry, right));
    return join(join(outer, left, inner.left), inner, join(inner.right, entry, right));
  }
  return join(left, entry, right);
}

function glue(left: Children, right: Children): Children {
  if (!left) return right;
  if (!right) return left;
  if (left.count > right.count) {
    let last = left;
    while (last.right) last = last.right;
    return balance(without(left, last.key), last, right);
  }
  let first = right;
  while (first.left) first = first.left;
  return balance(left, first, without(right, first.key));
}
