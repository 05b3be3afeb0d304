/** Loads a module of Node's without the warning that it is experimental: that is our affair and not the user's. */
export function quietly<T>(load: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
