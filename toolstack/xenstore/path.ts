// Paths of the store: absolute, or relative to /local/domain/<domid> of the client, or names of special events.

import { XENSTORE_ABS_PATH_MAX, XENSTORE_REL_PATH_MAX } from '#abi/io/xs-wire.ts';
import type { Requester } from './permissions.ts';
import { StoreError } from './store-error.ts';

const VALID = /^[A-Za-z0-9\-/_@]+$/;
/** What every domain's own paths begin with: the limit of relative paths holds for what follows it, and for other paths as a whole. */
const HOME = /^\/local\/domain\/\d+\//;
/** Events that are watched like nodes. Only their permissions can be set, otherwise they are no nodes. */
export const INTRODUCE_DOMAIN = '@introduceDomain', RELEASE_DOMAIN = '@releaseDomain';

export function domainPath(domid: number): string { return `/local/domain/${domid}`; }

export function isSpecial(path: string): boolean { return path.startsWith('@'); }

/** The absolute form of a path, or a special event's name; whether it is a path at all is not asked. */
export function absolutePath(path: string, who: Requester): string {
  return path.startsWith('/') || isSpecial(path) ? path : `${domainPath(who.domid)}/${path}`;
}

/**
 * The absolute form of a path that a client named.
 * @throws StoreError EINVAL
 */
export function canonicalPath(path: string, who: Requester): string {
  const absolute = absolutePath(path, who);
  if (absolute.length > XENSTORE_ABS_PATH_MAX || !VALID.test(path) || isSpecial(path)) throw new StoreError('EINVAL');
  if (absolute.includes('//') || (absolute.endsWith('/') && absolute !== '/')) throw new StoreError('EINVAL');
  if (absolute.length - (HOME.exec(absolute)?.[0].length ?? 0) > XENSTORE_REL_PATH_MAX) throw new StoreError('EINVAL');
  return absolute;
}

/**
 * The same, for what may name a special event too.
 * @throws StoreError EINVAL
 */
export function canonicalOrSpecial(path: string, who: Requester): string {
  if (!isSpecial(path)) return canonicalPath(path, who);
  if (path.length > XENSTORE_REL_PATH_MAX) throw new StoreError('EINVAL');
  return path;
}

/** "/a/b" → "/a", "/a" → "/". */
export function parentPath(path: string): string { return path.slice(0, path.lastIndexOf('/')) || '/'; }

export function childPath(path: string, leaf: string): string { return path === '/' ? `/${leaf}` : `${path}/${leaf}`; }

/** The path, its parent, and so on up to the root. */
export function* upward(path: string): Generator<string, void> {
  for (; path !== '/'; path = parentPath(path)) yield path;
  yield '/';
}
