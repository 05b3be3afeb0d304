// Paths of the store: absolute, or relative to /local/domain/<domid> of the client, or names of special events.

import { XENSTORE_ABS_PATH_MAX, XENSTORE_REL_PATH_MAX } from '#abi/io/xs-wire.ts';
import { StoreError } from './store-error.ts';

const VALID = /^[A-Za-z0-9\-/_@]+$/;
/** Events that are watched like nodes but are none. */
export const INTRODUCE_DOMAIN = '@introduceDomain', RELEASE_DOMAIN = '@releaseDomain';

export function domainPath(domid: number): string { return `/local/domain/${domid}`; }

export function isSpecial(path: string): boolean { return path.startsWith('@'); }

/**
 * The absolute form of a path that a client named.
 * @throws StoreError EINVAL
 */
export function canonicalPath(path: string, domid: number): string {
  const relative = !path.startsWith('/');
  const absolute = relative ? `${domainPath(domid)}/${path}` : path;
  if (path.length > (relative ? XENSTORE_REL_PATH_MAX : XENSTORE_ABS_PATH_MAX)) throw new StoreError('EINVAL');
  if (!VALID.test(path) || absolute.includes('//') || (absolute.endsWith('/') && absolute !== '/')) throw new StoreError('EINVAL');
  return absolute;
}

/** "/a/b" → "/a", "/a" → "/". */
export function parentPath(path: string): string { return path.slice(0, path.lastIndexOf('/')) || '/'; }

export function leafName(path: string): string { return path.slice(path.lastIndexOf('/') + 1); }

export function childPath(path: string, leaf: string): string { return path === '/' ? `/${leaf}` : `${path}/${leaf}`; }

/** Is `path` the node `ancestor` or below it? */
export function isWithin(path: string, ancestor: string): boolean {
  return ancestor === '/' || path === ancestor || path.startsWith(`${ancestor}/`);
}
