// The console ring page (public/io/console.h). Indices run freely; the position in a ring is index modulo its size.

import { cLayout, type CLayout } from '../c-layout.ts';
import { struct } from '#base/struct.ts';

/** Bytes of the ring towards the guest, and from it. */
export const XENCONS_IN_SIZE = 1024, XENCONS_OUT_SIZE = 2048;

export const xencons_interface = struct('xencons_interface', 3088, {
  in: ['u8', XENCONS_IN_SIZE], out: ['u8', XENCONS_OUT_SIZE], in_cons: 'u32', in_prod: 'u32', out_cons: 'u32', out_prod: 'u32',
});

export const C_LAYOUTS: readonly CLayout[] = [cLayout('io/console.h', 'struct xencons_interface', xencons_interface)];
