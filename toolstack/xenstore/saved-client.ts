// What a domain has in the store, as plain data, for an image of the domain (lifecycle/domain-image.ts): the nodes that it owns below
// its own path, and its watches. What Domain-0 wrote about it is written anew.

import type { Connection, WatchRequest } from './connection.ts';
import { LocalClient } from './local-client.ts';
import { childPath, domainPath } from './path.ts';
import type { Permissions } from './permissions.ts';
import type { Store } from './store.ts';

interface SavedNode {
  readonly path: string;
  readonly value: string;
  readonly perms: Permissions;
}
export interface SavedClient {
  readonly nodes: readonly SavedNode[];
  readonly watches: readonly WatchRequest[];
}

/** No request of the client may be on its way. Undefined while it has transactions, which are not saved. */
export function saveClient(store: Store, connection: Connection): SavedClient | undefined {
  if (connection.hasTransactions) return undefined;
  const { domid } = connection.who;
  return { nodes: [...ownedBelow(new LocalClient(store), domainPath(domid), domid)], watches: connection.watched };
}

function* ownedBelow(client: LocalClient, path: string, domid: number): Generator<SavedNode, void> {
  const perms = client.permissions(path);
  if (perms[0].domid === domid) yield { path, value: client.read(path) ?? '', perms };
  for (const name of client.directory(path)) yield* ownedBelow(client, childPath(path, name), domid);
}

/** The domain of the same number was made known to the store anew: it has what it had. */
export function restoreClient(store: Store, connection: Connection, { nodes, watches }: SavedClient): void {
  new LocalClient(store).atomically((client) => {
    for (const { path, value, perms } of nodes) {
      client.write(path, value);
      client.setPermissions(path, perms);
    }
  });
  for (const { asked, token } of watches) connection.addWatch(asked, token, false);
}
