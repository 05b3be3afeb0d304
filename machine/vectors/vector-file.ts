// Recorded vectors as they lie in the repository: a header that says where they come from, then cases with outcomes.
//
//   u32 length of the header, header (JSON, UTF-8), then case and outcome by turns (codec.ts) to the end
//
// Cases name their row by position in the header's list, and the list names rows by rowKey: rows may be added to the
// table or moved without a new recording. The file is compressed as a whole.

import type { Vector } from './check.ts';
import { readCase, Reader, readOutcome, writeCase, writeOutcome, Writer } from './codec.ts';

export interface VectorHeader {
  readonly format: 1;
  /** processor that the outcomes come from, as it names itself */
  readonly processor: string;
  /** day of the recording, ISO 8601 */
  readonly date: string;
  readonly seed: number;
  /** rowKey of each row */
  readonly rows: readonly string[];
}

export interface VectorFile {
  readonly header: VectorHeader;
  readonly vectors: readonly Vector[];
}

/** The bytes of a recording, not compressed. */
export function encodeVectors(file: VectorFile): Uint8Array {
  const w = new Writer();
  const header = asciiBytes(JSON.stringify(file.header));
  w.u32(header.length);
  w.raw(header);
  for (const v of file.vectors) {
    writeCase(w, v.case);
    writeOutcome(w, v.outcome);
  }
  return w.take();
}

/** Reads a recording. @throws Error when it is of another format or ends early */
export function decodeVectors(bytes: Uint8Array): VectorFile {
  const r = new Reader(bytes);
  const header = JSON.parse(asciiText(r.raw(r.u32()))) as VectorHeader;
  if (header.format !== 1) throw new Error(`vector format ${String(header.format)} is not known`);
  const vectors: Vector[] = [];
  while (!r.done) vectors.push({ case: readCase(r), outcome: readOutcome(r) });
  return { header, vectors };
}

function asciiBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (ch) => (ch.charCodeAt(0) < 0x80 ? ch.charCodeAt(0) : 0x3f));
}
function asciiText(bytes: Uint8Array): string {
  let text = '';
  for (const b of bytes) text += String.fromCharCode(b);
  return text;
}
