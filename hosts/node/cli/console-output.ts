// What the guest writes to its console, on its way to standard output. When the reader is slow the console back end
// pauses, its ring fills and the guest waits; a deterministic domain must not notice, for it all is kept here instead.

import type { ConsoleBackend } from '#devices/console/console-backend.ts';

export class ConsoleOutput {
  /** called when nobody reads any more */
  onClosed: () => void = () => {};
  private readonly mayPause: boolean;
  private console: ConsoleBackend | undefined;

  constructor(options: { readonly mayPause: boolean }) {
    this.mayPause = options.mayPause;
    // Node writes to pipes synchronously: a reader that stands still would hold up timers and signals too.
    const { _handle: handle } = process.stdout as { _handle?: { setBlocking?: (on: boolean) => void } };
    if (!process.stdout.isTTY) handle?.setBlocking?.(false);
    process.stdout.on('drain', () => this.console?.resume());
    process.stdout.on('error', () => this.onClosed());
  }

  /** This console is the one to pause. */
  connect(console: ConsoleBackend): void { this.console = console; }

  write(bytes: Uint8Array): void {
    if (!process.stdout.write(bytes) && this.mayPause) this.console?.pause();
  }

  /** Resolves when all is written, or can no longer be. */
  flush(): Promise<void> {
    return new Promise((done) => { process.stdout.write('', () => done()); });
  }
}
