// Where a daemon keeps its state and its socket: --state DIR, XENITH_STATE, or a folder of the user's. Several daemons can run
// side by side, each with a folder of its own.

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export function stateDir(option: string | undefined): string {
  const { XENITH_STATE, XDG_STATE_HOME } = process.env;
  return resolve(option ?? XENITH_STATE ?? join(XDG_STATE_HOME ?? join(homedir(), '.local/state'), 'xenith'));
}
/** The local API. Who may open it may do everything: it is guarded by file permission. */
export const socketPath = (state: string): string => join(state, 'xenith.sock');
/** Xenstore for the tools of Domain-0: Debian's xenstore-ls and its like find it by XENSTORED_PATH. */
export const xenstorePath = (state: string): string => join(state, 'xenstored.sock');
/** The database of what the daemon remembers. */
export const databasePath = (state: string): string => join(state, 'domains.db');
/** xl.cfg files of the domains that start with the daemon. */
export const autoPath = (state: string): string => join(state, 'auto');
/** The core file of a domain that crashed (on_crash = "coredump-..."): the last one of each name. */
export const corePath = (state: string, name: string): string => join(state, 'dump', name);
