// The requests of the protocol, one row each. A handler decodes its payload, acts on the store, and returns the
// reply's payload; it refuses by throwing a StoreError.
//
// Answers are those of Xen 4.17's xenstored (C), but for these: numbers and strings that are none are EINVAL, where it
// takes a part of them or answers by chance; SET_PERMS by who is not the owner is EACCES, where it may say ENOENT; 128
// watches are 128, where it allows one more; a transaction meets the quota of nodes when it goes beyond it, not when it
// ends; and it conflicts over nodes that it looked at, not over those above them too.

import { XENSTORE_PAYLOAD_MAX, XS } from '#abi/io/xs-wire.ts';
import { bytesOf, namesFrom } from './children.ts';
import type { Connection } from './connection.ts';
import { control } from './control.ts';
import { getDomainPath, introduce, isDomainIntroduced, release, resume, setTarget } from './domain-requests.ts';
import { formatPermission, parsePermissions } from './permissions.ts';
import { OK, only, pair } from './payload.ts';
import { StoreError } from './store-error.ts';
import { fits, splitStrings, toList } from './wire.ts';

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

function directory({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const path = only(payload);
  const { children } = connection.perform(transactionId, (view) => view.directory(path));
  if (!fits(bytesOf(children))) throw new StoreError('E2BIG');
  return toList([...namesFrom(children)]);
}

/** As many whole names as fit behind the generation; an empty one behind the last. */
function directoryPart({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const [path, from] = pair(payload);
  if (!/^\d{1,9}$/.test(from)) throw new StoreError('EINVAL');
  const { children, generation } = connection.perform(transactionId, (view) => view.directory(path));
  const head = String(generation), names = [head];
  let room = XENSTORE_PAYLOAD_MAX - head.length - 2; // the empty name needs its byte
  for (const name of namesFrom(children, Number(from))) {
    if ((room -= name.length + 1) < 0) return toList(names);
    names.push(name);
  }
  return toList([...names, '']);
}

function read({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const path = only(payload);
  return connection.perform(transactionId, (view) => view.read(path));
}

/** What follows the path is the value, zero bytes and all. */
function write({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const { strings: [path], rest } = splitStrings(payload, 1);
  if (path === undefined) throw new StoreError('EINVAL');
  const value = rest.slice();
  connection.perform(transactionId, (view) => view.write(path, value));
  return OK;
}

function mkdir({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const path = only(payload);
  connection.perform(transactionId, (view) => view.mkdir(path));
  return OK;
}

function rm({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const path = only(payload);
  connection.perform(transactionId, (view) => view.rm(path));
  return OK;
}

function getPermissions({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const path = only(payload);
  return toList(connection.perform(transactionId, (view) => view.permissions(path)).map(formatPermission));
}

function setPermissions({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const { strings: [path, ...texts], rest } = splitStrings(payload, Infinity);
  const perms = parsePermissions(texts);
  if (path === undefined || !perms || rest.length !== 0) throw new StoreError('EINVAL');
  connection.perform(transactionId, (view) => view.setPermissions(path, perms));
  return OK;
}

function watch({ connection, payload }: RequestContext): Uint8Array {
  connection.addWatch(...pair(payload));
  return OK;
}

function unwatch({ connection, payload }: RequestContext): Uint8Array {
  connection.removeWatch(...pair(payload));
  return OK;
}

function resetWatches({ connection }: RequestContext): Uint8Array {
  connection.reset();
  return OK;
}

function transactionStart({ connection, transactionId }: RequestContext): Uint8Array {
  if (transactionId !== 0) throw new StoreError('EBUSY');
  return toList([String(connection.startTransaction())]);
}

function transactionEnd({ connection, payload, transactionId }: RequestContext): Uint8Array {
  const how = only(payload);
  if (how !== 'T' && how !== 'F') throw new StoreError('EINVAL');
  connection.endTransaction(transactionId, how === 'T');
  return OK;
}

export const REQUESTS: Readonly<Partial<Record<number, RequestKind>>> = {
  [XS.CONTROL]: { handle: control, privileged: true },
  [XS.DIRECTORY]: { handle: directory },
  [XS.READ]: { handle: read },
  [XS.GET_PERMS]: { handle: getPermissions },
  [XS.WATCH]: { handle: watch, noTransaction: true },
  [XS.UNWATCH]: { handle: unwatch, noTransaction: true },
  [XS.TRANSACTION_START]: { handle: transactionStart },
  [XS.TRANSACTION_END]: { handle: transactionEnd },
  [XS.INTRODUCE]: { handle: introduce, privileged: true },
  [XS.RELEASE]: { handle: release, privileged: true },
  [XS.GET_DOMAIN_PATH]: { handle: getDomainPath },
  [XS.WRITE]: { handle: write },
  [XS.MKDIR]: { handle: mkdir },
  [XS.RM]: { handle: rm },
  [XS.SET_PERMS]: { handle: setPermissions },
  [XS.IS_DOMAIN_INTRODUCED]: { handle: isDomainIntroduced, privileged: true },
  [XS.RESUME]: { handle: resume, privileged: true },
  [XS.SET_TARGET]: { handle: setTarget, privileged: true },
  [XS.RESET_WATCHES]: { handle: resetWatches },
  [XS.DIRECTORY_PART]: { handle: directoryPart },
};
