// Which guest to boot, from the command line: its images and what it is told.

import { readFileSync } from 'node:fs';
import { encodeCommand, guestCommandLine, STARTED } from '#toolstack/lifecycle/default-guest.ts';
import { guestFile, reasonOf } from '../input-file.ts';
import type { RunArgs } from './args.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

export interface GuestPlan {
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array | undefined;
  readonly commandLine: string;
  /** the command to run in it, encoded */
  readonly command: string | undefined;
  /** DomainConfig.compileFrom */
  readonly compileFrom: number;
  /** the default guest with bytes passed unchanged (PipeInput) */
  readonly pipe: boolean;
}

/** @throws UsageError for files that cannot be read and commands that are too long */
export function planGuest(args: RunArgs, terminal: Terminal): GuestPlan {
  if (args.kernel !== undefined) {
    return {
      kernel: readInput('--kernel', args.kernel), initrd: args.initrd === undefined ? undefined : readInput('--initrd', args.initrd),
      commandLine: args.append, command: undefined, compileFrom: 0, pipe: false,
    };
  }
  const pipe = !terminal.isPerson;
  return {
    kernel: readFileSync(guestFile('vmlinuz-xenith')), initrd: readFileSync(guestFile('initramfs.cpio.gz')),
    commandLine: guestCommandLine({
      command: args.command !== undefined, quiet: args.command !== undefined, pipe, append: args.append,
      ...(args.name === undefined ? {} : { hostname: args.name }),
      ...(pipe ? {} : { terminal: { rows: terminal.rows, columns: terminal.columns, type: process.env['TERM'] } }),
    }),
    command: args.command === undefined ? undefined : encoded(args.command),
    compileFrom: STARTED,
    pipe,
  };
}

function encoded(words: readonly string[]): string {
  try {
    return encodeCommand(words);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message);
    throw error;
  }
}

function readInput(option: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${option} ${path}: ${reasonOf(error)}`);
  }
}
