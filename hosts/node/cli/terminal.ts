// The terminal that `xenith run` was started on, if it was. While the guest has it, it is raw: every byte of every key
// goes to the guest but Ctrl-], and every byte of the guest goes to the screen.
//
// Node's raw mode still turns a line feed into CR LF, which spoils what full-screen programs draw: stty ends that, where
// there is one. Node itself puts the terminal back as it was whenever the process ends by any but SIGKILL;
// `restore` does so earlier.

import { spawnSync } from 'node:child_process';

export class Terminal {
  private raw = false;

  /** True when a person is at both ends. */
  get isPerson(): boolean { return process.stdin.isTTY === true && process.stdout.isTTY === true; }
  get rows(): number { return process.stdout.rows; }
  get columns(): number { return process.stdout.columns; }

  makeRaw(): void {
    this.raw = true;
    process.stdin.setRawMode(true);
    if (process.platform !== 'win32') spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
  }

  /** After the process was stopped and goes on, a shell has had the terminal. */
  makeRawAgain(): void {
    if (!this.raw) return;
    process.stdin.setRawMode(false);
    this.makeRaw();
  }

  restore(): void {
    if (!this.raw) return;
    this.raw = false;
    process.stdin.setRawMode(false);
  }

  /** A line of ours for the person, between the guest's. */
  message(text: string): void {
    process.stderr.write(this.raw ? `${text.replaceAll('\n', '\r\n')}\r\n` : `${text}\n`);
  }
}
