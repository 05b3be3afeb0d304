// A log file that others may move away at any time: logrotate(8) renames it, and sends SIGHUP. A full disk loses lines, and
// says how many when there is room again; it ends no daemon.

import { closeSync, openSync, writeSync } from 'node:fs';
import { reasonOf } from '../input-file.ts';
import { DaemonError } from './daemon-error.ts';

const MODE = 0o640;

export class LogFile {
  private readonly path: string;
  private fd: number;
  private lost = 0;

  /** @throws DaemonError */
  constructor(path: string) {
    this.path = path;
    this.fd = this.open();
  }

  write(text: string): void {
    try {
      if (this.lost > 0) writeSync(this.fd, `${this.lost} lines could not be written here before this one\n`);
      this.lost = 0;
      writeSync(this.fd, text);
    } catch {
      this.lost += text.split('\n').length - 1;
    }
  }
  /** Goes on in a new file if the old one was moved away. Where there can be none the old one is kept. @throws DaemonError */
  reopen(): void {
    const fd = this.open();
    closeSync(this.fd);
    this.fd = fd;
  }

  private open(): number {
    try {
      return openSync(this.path, 'a', MODE);
    } catch (error) {
      throw new DaemonError(`--log ${this.path}: ${reasonOf(error)}`);
    }
  }
}
