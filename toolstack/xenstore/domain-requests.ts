// The requests about domains. A domain comes into being by the toolstack's own calls, which map its ring
// (createDomain): INTRODUCE over the wire can only begin anew with one that is known.

import { domainPath } from './path.ts';
import { OK, only, pair, toDomid } from './payload.ts';
import type { RequestContext } from './requests.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';
import { splitStrings, toList } from './wire.ts';

const DOMID_SELF = 0x7ff0;

export function introduce({ connection: { store }, payload }: RequestContext): Uint8Array {
  const { strings: [id, frame, port] } = splitStrings(payload, 3);
  const domid = toDomid(id);
  if (frame === undefined || !/^[1-9]\d{0,9}$/.test(port ?? '')) throw new StoreError('EINVAL');
  if (domid === 0 || !store.isIntroduced(domid)) throw new StoreError('EINVAL');
  store.reintroduceDomain(domid);
  return OK;
}

export function release({ connection: { store }, payload }: RequestContext): Uint8Array {
  store.releaseDomain(introduced(store, payload));
  return OK;
}

export function resume({ connection: { store }, payload }: RequestContext): Uint8Array {
  store.resumeDomain(introduced(store, payload));
  return OK;
}

export function setTarget({ connection: { store }, payload }: RequestContext): Uint8Array {
  const [domid, target] = pair(payload);
  store.setTarget(toDomid(domid), toDomid(target));
  return OK;
}

export function getDomainPath({ payload }: RequestContext): Uint8Array { return toList([domainPath(toDomid(only(payload)))]); }

export function isDomainIntroduced({ connection: { store }, payload }: RequestContext): Uint8Array {
  const domid = toDomid(only(payload));
  return toList([domid === DOMID_SELF || store.isIntroduced(domid) ? 'T' : 'F']);
}

/** The payload as the number of a domain that is connected, and not domain 0. */
function introduced(store: Store, payload: Uint8Array): number {
  const domid = toDomid(only(payload));
  if (domid === 0) throw new StoreError('EINVAL');
  if (!store.isIntroduced(domid)) throw new StoreError('ENOENT');
  return domid;
}
