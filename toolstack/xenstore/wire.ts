// Messages of the wire protocol (public/io/xs_wire.h): a header of four 32-bit words, then up to 4096 bytes. Strings
// are bytes, held here as Latin-1 so that each keeps its value; those in lists end with a zero byte.

import { XENSTORE_PAYLOAD_MAX, xsd_sockmsg } from '#abi/io/xs-wire.ts';

export const HEADER_SIZE: number = xsd_sockmsg.size;

export interface Message {
  readonly type: number;
  readonly requestId: number;
  readonly transactionId: number;
  readonly payload: Uint8Array;
}

export function encode({ type, requestId, transactionId, payload }: Message): Uint8Array {
  const bytes = new Uint8Array(HEADER_SIZE + payload.length);
  const header = xsd_sockmsg.on(bytes.buffer).at(0);
  header.type = type;
  header.req_id = requestId;
  header.tx_id = transactionId;
  header.len = payload.length;
  bytes.set(payload, HEADER_SIZE);
  return bytes;
}

/** Reads a header at the start of `bytes`. `length` is what follows it: the caller checks it against the maximum. */
export function decodeHeader(bytes: Uint8Array): { type: number; requestId: number; transactionId: number; length: number } {
  const header = xsd_sockmsg.on(bytes.buffer).at(bytes.byteOffset);
  return { type: header.type, requestId: header.req_id, transactionId: header.tx_id, length: header.len };
}

export const fits = (length: number): boolean => length <= XENSTORE_PAYLOAD_MAX;

export function toBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export function toText(bytes: Uint8Array): string {
  let text = '';
  for (const b of bytes) text += String.fromCharCode(b);
  return text;
}

/** Strings, each with its zero byte. */
export function toList(texts: readonly string[]): Uint8Array { return toBytes(texts.map((t) => `${t}\0`).join('')); }

/** The zero-terminated strings at the start of a payload, at the most `count`, and what follows them. */
export function splitStrings(payload: Uint8Array, count: number): { strings: string[]; rest: Uint8Array } {
  const strings: string[] = [];
  let at = 0;
  while (strings.length < count) {
    const end = payload.indexOf(0, at);
    if (end < 0) break;
    strings.push(toText(payload.subarray(at, end)));
    at = end + 1;
  }
  return { strings, rest: payload.subarray(at) };
}
