// A domain's console as a daemon keeps it: the last of the output, and who is attached. A reader that attaches gets what there
// is; output goes on when nobody reads. Readers that are slow lose nothing of what they are given: that is for whoever writes
// to them.

import type { ConsoleBackend } from '#devices/console/console-backend.ts';

/** Bytes of output that are kept for those who attach later. */
const KEPT = 64 << 10;

export interface ConsoleReader {
  output(bytes: Uint8Array): void;
  /** the domain is gone, and none takes its place */
  end(): void;
}

export class ConsoleLog {
  private readonly kept: Uint8Array[] = [];
  private size = 0;
  private readonly readers = new Set<ConsoleReader>();
  private console: ConsoleBackend | undefined;
  private isOver = false;

  /** A domain writes here from now on: the first, or one that has taken its place. */
  connect(console: ConsoleBackend): void { this.console = console; }
  write(bytes: Uint8Array): void {
    this.kept.push(bytes);
    this.size += bytes.length;
    while (this.size - (this.kept[0]?.length ?? 0) >= KEPT) this.size -= this.kept.shift()?.length ?? 0;
    for (const reader of this.readers) reader.output(bytes);
  }
  /** @returns what detaches the reader */
  attach(reader: ConsoleReader): () => void {
    for (const bytes of this.kept) reader.output(bytes);
    if (this.isOver) reader.end();
    else this.readers.add(reader);
    return () => { this.readers.delete(reader); };
  }
  feed(bytes: Uint8Array): void { this.console?.feed(bytes); }
  /** What is kept, for a domain that has ended and is set aside: readers and input stay with the one that takes its place. */
  ended(): ConsoleLog {
    const log = new ConsoleLog();
    for (const bytes of this.kept) log.write(bytes);
    log.end();
    return log;
  }
  /** The domain is gone, and none takes its place. */
  end(): void {
    this.isOver = true;
    this.console = undefined;
    for (const reader of this.readers) reader.end();
  }
}
