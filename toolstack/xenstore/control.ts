// CONTROL: what an administrator may ask of the daemon itself (xenstore-control). Of xenstored's commands those are
// here that make sense without a daemon's log and memory.

import { checkStore } from './check.ts';
import type { RequestContext } from './requests.ts';
import { OK, toDomid } from './payload.ts';
import { QUOTA } from './quota.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';
import { splitStrings, toList } from './wire.ts';

type Command = (store: Store, parameters: readonly string[]) => Uint8Array;

const COMMANDS: Readonly<Record<string, Command>> = { check, help, quota };

export function control({ connection: { store }, payload }: RequestContext): Uint8Array {
  const { strings: [name, ...parameters] } = splitStrings(payload, Infinity);
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw new StoreError('EINVAL');
  return command(store, parameters);
}

/** Are the store's invariants kept? EIO when they are not. */
function check(store: Store): Uint8Array {
  if (checkStore(store).length > 0) throw new StoreError('EIO');
  return OK;
}

function help(): Uint8Array { return toList([Object.keys(COMMANDS).join('\n')]); }

/** The limits; with a domain's number, what it has of them. */
function quota(store: Store, [domain]: readonly string[]): Uint8Array {
  const table = (entries: Readonly<Record<string, number>>): string => Object.entries(entries).map(([name, n]) => `${name.padEnd(20)}: ${String(n).padStart(8)}\n`).join('');
  if (domain === undefined) return toList([table(QUOTA)]);
  const domid = toDomid(domain);
  if (!store.isIntroduced(domid)) throw new StoreError('ENOENT');
  return toList([`Domain ${domid}:\n${table({ ...store.usageOf(domid) })}`]);
}
