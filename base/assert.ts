// Assertions: an invariant that fails here is a bug of ours, never of a guest's.

/** Throws when an invariant does not hold. Not for guest input: that gets an error number or a fault. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`invariant broken: ${message}`);
}

/** Marks a branch that cannot be taken; with a `never` argument the compiler checks it too. */
export function unreachable(value: never | string): never {
  throw new Error(`unreachable: ${String(value)}`);
}
