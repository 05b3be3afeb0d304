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

/**
 * Puts messages together out of bytes as they come. It is given no more than it wants, so that what follows a message
 * stays where it is until the message is dealt with.
 */
export class Decoder {
  private readonly header = new Uint8Array(HEADER_SIZE);
  /** what is being filled: the header, then the payload */
  private into: Uint8Array = this.header;
  private filled = 0;
  /** A length was beyond the maximum: there is no telling where the next message begins. */
  failed = false;

  /** No message has begun. */
  get isBetween(): boolean { return this.into === this.header && this.filled === 0; }

  /** Bytes to the end of what is being read. */
  get wants(): number { return this.failed ? 0 : this.into.length - this.filled; }

  /** Takes at the most `wants` bytes. The message, when they complete one. */
  take(bytes: Uint8Array): Message | undefined {
    this.into.set(bytes, this.filled);
    this.filled += bytes.length;
    if (this.filled < this.into.length) return undefined;
    const { type, requestId, transactionId, length } = decodeHeader(this.header);
    this.filled = 0;
    if (!fits(length)) {
      this.failed = true;
      return undefined;
    }
    if (this.into === this.header && length > 0) {
      this.into = new Uint8Array(length);
      return undefined;
    }
    const payload = this.into === this.header ? new Uint8Array(0) : this.into;
    this.into = this.header;
    return { type, requestId, transactionId, payload };
  }
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
