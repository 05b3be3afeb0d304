// How a struct declared in abi/ says which C structure it transcribes. abi/layout.test.ts collects every exported
// `C_LAYOUTS` under abi/ and compares sizes and offsets with what a C compiler makes of Xen's public headers.

import type { Fields, Struct } from '#base/struct.ts';

export interface CLayout {
  readonly struct: Struct<Fields>;
  /** the C type, e.g. 'struct vcpu_info' or 'evtchn_send_t' */
  readonly c: string;
  /** below /usr/include/xen, e.g. 'event_channel.h' */
  readonly header: string;
  /** C member designators of fields that are named or nested differently there, e.g. { console_mfn: 'console.domU.mfn' } */
  readonly members: Readonly<Record<string, string>>;
  /** fields that C has no name for (explicit padding) */
  readonly unnamed: readonly string[];
}

/** One row of a `C_LAYOUTS` table. */
export function cLayout<F extends Fields>(header: string, c: string, struct: Struct<F>, members: { readonly [K in keyof F]?: string } = {}, unnamed: readonly (keyof F & string)[] = []): CLayout {
  return { struct: struct as unknown as Struct<Fields>, c, header, members: members as Record<string, string>, unnamed };
}
