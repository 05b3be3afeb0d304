// The daemon's log, a line at a time, as the reader expects it: systemd's journal has clocks and names of its own and takes the
// priority from a prefix (sd-daemon(3)); everything else gets a timestamp, the program's name and the level if it is bad.

import { fstatSync } from 'node:fs';
import type { LogLevel } from '#base/host.ts';
import type { LogFile } from './log-file.ts';

/** syslog's priorities */
const PRIORITY: Readonly<Record<LogLevel, number>> = { error: 3, warning: 4, info: 6, debug: 7 };
const WORD: Readonly<Record<LogLevel, string>> = { error: 'error: ', warning: 'warning: ', info: '', debug: 'debug: ' };

type Format = (level: LogLevel, line: string) => string;
const forJournal: Format = (level, line) => `<${PRIORITY[level]}>${line}\n`;
const withTime: Format = (level, line) => `${new Date().toISOString()} xenith: ${WORD[level]}${line}\n`;

export class DaemonLog {
  private readonly format: Format;
  private readonly put: (text: string) => void;

  /** @param file instead of standard error */
  constructor(file?: LogFile) {
    this.format = file === undefined && isJournal(process.env['JOURNAL_STREAM']) ? forJournal : withTime;
    this.put = file === undefined ? toStandardError() : (text) => file.write(text);
  }
  write(level: LogLevel, text: string): void {
    this.put(text.split('\n').map((line) => this.format(level, line)).join(''));
  }
}

/** Whoever read it may be gone: that ends no daemon. */
function toStandardError(): (text: string) => void {
  process.stderr.on('error', () => {});
  return (text) => { process.stderr.write(text); };
}
/** @param stream device and inode that systemd gave to standard error (systemd.exec(5)); a program in between may have redirected it */
function isJournal(stream: string | undefined): boolean {
  const { dev, ino } = fstatSync(2, { bigint: true });
  return stream === `${dev}:${ino}`;
}
