// The shapes of payloads that several requests share. What does not have the shape is refused: EINVAL.

import { StoreError } from './store-error.ts';
import { splitStrings, toList } from './wire.ts';

/** The reply that says nothing but that all went well. */
export const OK: Uint8Array = toList(['OK']);

/** Exactly one string. */
export function only(payload: Uint8Array): string {
  const { strings: [text], rest } = splitStrings(payload, 1);
  if (text === undefined || rest.length !== 0) throw new StoreError('EINVAL');
  return text;
}

/** Exactly two strings; what comes behind them without a zero byte is ignored, as xenstored does. */
export function pair(payload: Uint8Array): [string, string] {
  const { strings: [first, second, ...more] } = splitStrings(payload, 3);
  if (first === undefined || second === undefined || more.length !== 0) throw new StoreError('EINVAL');
  return [first, second];
}

/** A domain's number, or one of Xen's special ones. */
export function toDomid(text: string | undefined): number {
  if (text === undefined || !/^\d{1,5}$/.test(text) || Number(text) > 0xffff) throw new StoreError('EINVAL');
  return Number(text);
}
