// The requests of the protocol, one row each. A handler decodes its payload, acts on the store, and returns the
// reply's payload; it refuses by throwing a StoreError.

import { XENSTORE_PAYLOAD_MAX, XENSTORE_REL_PATH_MAX, XS } from '#abi/io/xs-wire.ts';
import type { Connection } from './connection.ts';
import { canonicalPath, domainPath, isSpecial } from './path.ts';
import { formatPermission, parsePermissions } from './permissions.ts';
import { QUOTA } from './quota.ts';
import { StoreError } from './store-error.ts';
import { splitStrings, toBytes, toList } from './wire.ts';

export interface RequestContext {
  readonly connection: Connection;
  readonly transactionId: number;
  readonly payload: Uint8Array;
}

export interface RequestKind {
  readonly handle: (c: RequestContext) => Uint8Array;
  /** the transaction number means nothing to it */
  readonly noTransaction?: true;
  /** refused to a client that is not privileged */
  readonly privileged?: true;
}

const OK = toList(['OK']);

/** The payload as exactly one string. */
function only(payload: Uint8Array): string {
  const { strings, rest } = splitStrings(payload, 1);
  if (strings.length !== 1 || rest.length !== 0) throw new StoreError('EINVAL');
  return strings[0] as string;
}

/** The payload as exactly two strings. */
function pair(payload: Uint8Array): [string, string] {
  const { strings, rest } = splitStrings(payload, 2);
  if (strings.length !== 2 || rest.length !== 0) throw new StoreError('EINVAL');
  return strings as [string, string];
}

function domid(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new StoreError('EINVAL');
  return Number(text);
}

function directoryPart({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const [path, from] = pair(payload);
  const { children, generation } = connection.perform(transactionId, (view) => view.directory(path));
  const all = toList(children);
  const head = toList([String(generation)]);
  const offset = Number(from);
  if (!/^\d+$/.test(from) || offset >= all.length) return toBytes(`${generation}\0\0`);
  let end = Math.min(all.length, offset + XENSTORE_PAYLOAD_MAX - head.length - 1);
  while (end > offset && all[end - 1] !== 0) end--; // whole names only
  const part = all.subarray(offset, end);
  const reply = new Uint8Array(head.length + part.length + (end === all.length ? 1 : 0));
  reply.set(head);
  reply.set(part, head.length);
  return reply;
}

function watch({ connection, payload }: RequestContext): Uint8Array {
  const [path, token] = pair(payload);
  if (isSpecial(path)) {
    if (path.length > XENSTORE_REL_PATH_MAX) throw new StoreError('EINVAL');
  } else {
    canonicalPath(path, connection.who.domid);
  }
  connection.addWatch(path, token);
  return OK;
}

function write({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const { strings: [path], rest } = splitStrings(payload, 1);
  if (path === undefined) throw new StoreError('EINVAL');
  const value = rest.slice();
  connection.perform(transactionId, (view) => view.write(path, value));
  return OK;
}

function setPermissions({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const { strings: [path, ...texts], rest } = splitStrings(payload, Infinity);
  const perms = parsePermissions(texts);
  if (path === undefined || !perms || rest.length !== 0) throw new StoreError('EINVAL');
  if (!connection.who.privileged && perms.length > QUOTA.permsPerNode) throw new StoreError('ENOSPC');
  connection.perform(transactionId, (view) => view.setPermissions(path, perms));
  return OK;
}

function transactionEnd({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const how = only(payload);
  if (how !== 'T' && how !== 'F') throw new StoreError('EINVAL');
  connection.endTransaction(transactionId, how === 'T');
  return OK;
}

function transactionStart({ connection, transactionId }: RequestContext): Uint8Array {
  if (transactionId !== 0) throw new StoreError('EBUSY');
  return toList([String(connection.startTransaction())]);
}

/** Domains come and go through the toolstack's own calls (Store.introduceDomain), not over the wire. */
function refuse(): Uint8Array { throw new StoreError('ENOSYS'); }

export const REQUESTS: Readonly<Partial<Record<number, RequestKind>>> = {
  [XS.CONTROL]: { handle: refuse, noTransaction: true, privileged: true },
  [XS.DIRECTORY]: { handle: ({ connection, payload, transactionId }) => toList(connection.perform(transactionId, (view) => view.directory(only(payload))).children) },
  [XS.DIRECTORY_PART]: { handle: directoryPart },
  [XS.READ]: { handle: ({ connection, payload, transactionId }) => connection.perform(transactionId, (view) => view.read(only(payload))) },
  [XS.GET_PERMS]: { handle: ({ connection, payload, transactionId }) => toList(connection.perform(transactionId, (view) => view.permissions(only(payload))).map(formatPermission)) },
  [XS.WATCH]: { handle: watch, noTransaction: true },
  [XS.UNWATCH]: { handle: ({ connection, payload }) => { connection.removeWatch(...pair(payload)); return OK; }, noTransaction: true },
  [XS.TRANSACTION_START]: { handle: transactionStart, noTransaction: true },
  [XS.TRANSACTION_END]: { handle: transactionEnd },
  [XS.INTRODUCE]: { handle: refuse, noTransaction: true, privileged: true },
  [XS.RELEASE]: { handle: refuse, noTransaction: true, privileged: true },
  [XS.GET_DOMAIN_PATH]: { handle: ({ payload }) => toList([domainPath(domid(only(payload)))]), noTransaction: true },
  [XS.WRITE]: { handle: write },
  [XS.MKDIR]: { handle: ({ connection, payload, transactionId }) => { connection.perform(transactionId, (view) => view.mkdir(only(payload))); return OK; } },
  [XS.RM]: { handle: ({ connection, payload, transactionId }) => { connection.perform(transactionId, (view) => view.rm(only(payload))); return OK; } },
  [XS.SET_PERMS]: { handle: setPermissions },
  [XS.IS_DOMAIN_INTRODUCED]: { handle: ({ connection, payload }) => toList([connection.store.isIntroduced(domid(only(payload))) ? 'T' : 'F']), noTransaction: true },
  [XS.RESUME]: { handle: refuse, noTransaction: true, privileged: true },
  [XS.SET_TARGET]: { handle: refuse, noTransaction: true, privileged: true },
  [XS.RESET_WATCHES]: { handle: ({ connection }) => { connection.reset(); return OK; }, noTransaction: true },
};
