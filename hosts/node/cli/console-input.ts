// Standard input on its way to the guest's console. It is read no faster than the guest takes it, and not before the
// guest is ready for it.

import type { ConsoleBackend } from '#devices/console/console-backend.ts';

const CTRL_RIGHT_BRACKET = 0x1d;
/** Bytes that wait for the guest before reading stops. */
const ENOUGH = 64 << 10;

export interface InputFilter {
  encode(bytes: Uint8Array): Uint8Array;
  end(): Uint8Array;
}

/** Input for a console that is typed at: as it is, and its end is nothing that could be typed. */
export const TYPED: InputFilter = { encode: (bytes) => bytes, end: () => new Uint8Array(0) };

export class ConsoleInput {
  /** called when Ctrl-] was typed */
  onEscape: () => void = () => {};
  /** called after the guest was given something */
  onFed: () => void = () => {};
  private readonly filter: InputFilter;
  private readonly isPerson: boolean;
  private console: ConsoleBackend | undefined;
  /** what came before there was a console to take it */
  private readonly early: Uint8Array[] = [];

  constructor(filter: InputFilter, isPerson: boolean) {
    this.filter = filter;
    this.isPerson = isPerson;
  }

  /**
   * Starts to read.
   * @returns a promise of the end
   */
  open(): Promise<void> {
    return new Promise((ended) => {
      const end = (): void => {
        this.feed(this.filter.end());
        ended();
      };
      process.stdin.on('data', (bytes: Buffer) => this.take(bytes));
      process.stdin.on('end', end);
      process.stdin.on('error', end); // a terminal that went away
    });
  }

  /** From now on this console gets the input, first what has come before. */
  connect(console: ConsoleBackend): void {
    this.console = console;
    console.onInputTaken = () => this.resume();
    for (const bytes of this.early.splice(0)) this.feed(bytes);
    if (console.pendingInput === 0) this.resume();
  }

  /** What comes from now on waits for another console. */
  disconnect(): void { this.console = undefined; }

  private take(bytes: Uint8Array): void {
    const escape = this.isPerson ? bytes.indexOf(CTRL_RIGHT_BRACKET) : -1;
    this.feed(this.filter.encode(escape < 0 ? bytes : bytes.subarray(0, escape)));
    if (escape >= 0) this.onEscape();
  }

  private feed(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (!this.console) {
      this.early.push(bytes);
      return;
    }
    this.console.feed(bytes);
    if (this.console.pendingInput > ENOUGH && !this.isPerson) process.stdin.pause(); // a person may want to leave
    this.onFed();
  }

  private resume(): void { if (process.stdin.isPaused()) process.stdin.resume(); }
}
