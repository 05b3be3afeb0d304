// What an unprivileged client may take of the store: the defaults of Xen 4.17's xenstored, but where it says otherwise.

export const QUOTA = {
  nodesPerDomain: 1000,
  watchesPerDomain: 128,
  transactionsPerDomain: 10,
  nodesPerTransaction: 1024,
  permsPerNode: 5,
  /** bytes of a node: value, names of its children, permissions and a header */
  nodeSize: 2048,
  nodeHeader: 24,
  /** bytes of a domain's nodes, watches and transactions together */
  memory: 2 << 20,
  /** requests whose replies wait to be read; of every client, so that none fills its queue by asking */
  repliesOutstanding: 20,
  /** bytes of replies and events that wait to be read; beyond it the client is cut off */
  outputBytes: 2 << 20,
  /** the same for a privileged client */
  privilegedOutputBytes: 16 << 20,
  /** events that a domain's requests caused and that wait for domain 0 to read them; beyond it the domain waits */
  undeliveredEvents: 256,
  /** ms that a client of domain 0 may let others wait so; then it is cut off */
  eventTimeout: 20_000,
  /** conflicts that a domain may cause in other clients' transactions before it has to wait (oxenstored's defaults) */
  conflictBurst: 5,
  /** and how many it may cause a second from then on */
  conflictsPerSecond: 15,
} as const;
