// Bytes of a pipe on their way into the default guest's console, whose line discipline is canonical because that is how
// a terminal carries an end of file (guest/README.md, xenith.console=pipe).

const EOT = 0x04, NEWLINE = 0x0a, LITERAL_NEXT = 0x16;
/** NUL, ^D, ^R, ^U, ^V, ^W, DEL: bytes that the line discipline would act upon */
const SPECIAL: ReadonlySet<number> = new Set([0x00, EOT, 0x12, 0x15, LITERAL_NEXT, 0x17, 0x7f]);
/** A canonical line holds 4,095 bytes; what is longer has to be passed on in pieces. */
const MAX_LINE = 4000;

export class PipeInput {
  /** bytes since the last newline or EOT */
  private line = 0;

  /** The bytes to feed the console with for these of the pipe. */
  encode(bytes: Uint8Array): Uint8Array {
    const out = new Uint8Array(bytes.length * 2 + Math.ceil(bytes.length / MAX_LINE) + 1);
    let n = 0;
    for (const byte of bytes) {
      if (SPECIAL.has(byte)) out[n++] = LITERAL_NEXT;
      out[n++] = byte;
      this.line = byte === NEWLINE ? 0 : this.line + 1;
      if (this.line < MAX_LINE) continue;
      out[n++] = EOT;
      this.line = 0;
    }
    return out.subarray(0, n);
  }

  /** The bytes that stand for the end of the pipe. */
  end(): Uint8Array { return new Uint8Array(this.line === 0 ? 1 : 2).fill(EOT); }
}
