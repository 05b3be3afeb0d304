// The xenstore wire protocol (public/io/xs_wire.h; behaviour in docs/misc/xenstore.txt and xenstore-ring.txt).

import { cLayout, type CLayout } from '../c-layout.ts';
import { struct } from '#base/struct.ts';

/** enum xsd_sockmsg_type */
export const XS = {
  CONTROL: 0, DIRECTORY: 1, READ: 2, GET_PERMS: 3, WATCH: 4, UNWATCH: 5, TRANSACTION_START: 6, TRANSACTION_END: 7, INTRODUCE: 8,
  RELEASE: 9, GET_DOMAIN_PATH: 10, WRITE: 11, MKDIR: 12, RM: 13, SET_PERMS: 14, WATCH_EVENT: 15, ERROR: 16, IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18, SET_TARGET: 19, RESET_WATCHES: 21, DIRECTORY_PART: 22,
} as const;

/** Errors as the protocol names them: always strings, never numbers. */
export type XsError =
  | 'EINVAL' | 'EACCES' | 'EEXIST' | 'EISDIR' | 'ENOENT' | 'ENOMEM' | 'ENOSPC' | 'EIO' | 'ENOTEMPTY' | 'ENOSYS' | 'EROFS' | 'EBUSY'
  | 'EAGAIN' | 'EISCONN' | 'E2BIG' | 'EPERM';

export const xsd_sockmsg = struct('xsd_sockmsg', 16, { type: 'u32', req_id: 'u32', tx_id: 'u32', len: 'u32' });

export const XENSTORE_RING_SIZE = 1024;
/** The ring page. Indices run freely; the position in a ring is index modulo its size. */
export const xenstore_domain_interface = struct('xenstore_domain_interface', 2076, {
  req: ['u8', XENSTORE_RING_SIZE], rsp: ['u8', XENSTORE_RING_SIZE], req_cons: 'u32', req_prod: 'u32', rsp_cons: 'u32', rsp_prod: 'u32',
  server_features: 'u32', connection: 'u32', error: 'u32',
});

export const XENSTORE_PAYLOAD_MAX = 4096;
export const XENSTORE_ABS_PATH_MAX = 3072, XENSTORE_REL_PATH_MAX = 2048;

export const XENSTORE_SERVER_FEATURE_RECONNECTION = 1, XENSTORE_SERVER_FEATURE_ERROR = 2;
export const XENSTORE_CONNECTED = 0, XENSTORE_RECONNECT = 1;
export const XENSTORE_ERROR_NONE = 0, XENSTORE_ERROR_COMM = 1, XENSTORE_ERROR_RINGIDX = 2, XENSTORE_ERROR_PROTO = 3;

export const C_LAYOUTS: readonly CLayout[] = [
  cLayout('io/xs_wire.h', 'struct xsd_sockmsg', xsd_sockmsg),
  cLayout('io/xs_wire.h', 'struct xenstore_domain_interface', xenstore_domain_interface),
];
