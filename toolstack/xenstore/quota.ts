// What an unprivileged client may take of the store: xenstored's defaults.

export const QUOTA = {
  nodesPerDomain: 1000,
  watchesPerDomain: 128,
  transactionsPerDomain: 10,
  nodesPerTransaction: 1024,
  permsPerNode: 5,
  /** bytes of a node: value, names of its children, permissions and a header */
  nodeSize: 2048,
  nodeHeader: 24,
  /** requests whose replies wait to be read */
  repliesOutstanding: 20,
  /** bytes of replies and events that wait to be read; beyond it the client is cut off */
  outputBytes: 2 << 20,
} as const;
