// Runs the xenith command as a user does, in a process of its own.

import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const XENITH = fileURLToPath(new URL('../../bin/xenith.mjs', import.meta.url));

export interface Ended {
  /** exit status; 128 + number when a signal ended it */
  readonly status: number;
  readonly stdout: Buffer;
  /** as text, without a trailing newline */
  readonly out: string;
  readonly err: string;
  readonly seconds: number;
}

export function start(args: readonly string[]): ChildProcessWithoutNullStreams { return spawn(process.execPath, [XENITH, ...args]); }

/** Waits for a process to end and gathers what it wrote. */
export function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  const begin = performance.now();
  const stdout: Buffer[] = [], stderr: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes));
  child.stdin.on('error', () => {}); // it may end before it has read everything
  return new Promise((done) => {
    child.on('close', (status) => {
      const bytes = Buffer.concat(stdout);
      done({ status: status ?? -1, stdout: bytes, out: bytes.toString().trimEnd(), err: Buffer.concat(stderr).toString(), seconds: (performance.now() - begin) / 1000 });
    });
  });
}

/** `xenith` with these arguments and this standard input. */
export function xenith(args: readonly string[], input: string | Uint8Array = ''): Promise<Ended> {
  const child = start(args);
  const result = ended(child);
  child.stdin.end(input);
  return result;
}

/** A command in the default guest. */
export function inGuest(command: readonly string[], input: string | Uint8Array = '', options: readonly string[] = []): Promise<Ended> {
  return xenith(['run', '--timeout', '120', ...options, '--', ...command], input);
}
