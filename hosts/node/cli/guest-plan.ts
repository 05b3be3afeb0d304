// Which guest to run, from the command line: its images and what it is told.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { encodeCommand, type GuestOptions, STARTED, waitingCommandLine } from '#toolstack/lifecycle/default-guest.ts';
import { guestFile, reasonOf } from '../input-file.ts';
import { sourcesKey } from '../kept-bytes.ts';
import type { RunArgs } from './args.ts';
import type { Terminal } from './terminal.ts';
import { UsageError } from './usage-error.ts';

export interface GuestPlan {
  /** @throws UsageError for files that cannot be read */
  readonly images: () => GuestImages;
  readonly commandLine: string;
  /** the default guest's, which waits for them */
  readonly options: GuestOptions | undefined;
  /** the name under which a started guest is kept (kept-images.ts), where one will do */
  readonly kept: string | undefined;
  /** the command to run in it, encoded */
  readonly command: string | undefined;
  /** DomainConfig.compileFrom */
  readonly compileFrom: number;
  /** the default guest with bytes passed unchanged (PipeInput) */
  readonly pipe: boolean;
}
export interface GuestImages {
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
}

/** @throws UsageError for files that cannot be read and commands that are too long */
export function planGuest(args: RunArgs, terminal: Terminal): GuestPlan {
  if (args.kernel !== undefined) {
    const kernel = readInput('--kernel', args.kernel), initrd = args.initrd === undefined ? undefined : readInput('--initrd', args.initrd);
    return {
      images: () => ({ kernel, ...(initrd ? { initrd } : {}) }),
      commandLine: args.append, options: undefined, kept: undefined, command: undefined, compileFrom: 0, pipe: false,
    };
  }
  const pipe = !terminal.isPerson;
  const options = {
    command: args.command !== undefined, quiet: args.command !== undefined, pipe, append: args.append,
    ...(args.name === undefined ? {} : { hostname: args.name }),
    ...(pipe ? {} : { terminal: { rows: terminal.rows, columns: terminal.columns, type: process.env['TERM'] } }),
  };
  return {
    images: () => ({ kernel: readFileSync(guestFile('vmlinuz-xenith')), initrd: readFileSync(guestFile('initramfs.cpio.gz')) }),
    commandLine: waitingCommandLine(options), options, kept: mustBoot(args) ? undefined : keptName(args),
    command: args.command === undefined ? undefined : encoded(args.command),
    compileFrom: STARTED,
    pipe,
  };
}

/** Is it asked for a start that can be seen, or repeated, or that is not like others? */
function mustBoot({ boot, deterministic, append, compileAfter, trace, traceOut, profile }: RunArgs): boolean {
  return boot || deterministic || append !== '' || compileAfter !== undefined || trace.length > 0 || traceOut !== undefined || profile;
}

/** What a started guest depends on: the program, the guest's files, and what of the arguments is built in. */
function keptName({ memory, vcpus }: RunArgs): string {
  const program = process.env['XENITH_PROGRAM'] || sourcesKey(['abi', 'base', 'machine', 'hypervisor', 'devices', 'toolstack']); // bin/program.mjs has looked at the sources already
  return createHash('sha256').update(`${program} ${sourcesKey(['guest/dist'])} ${memory} ${vcpus}`).digest('hex').slice(0, 32);
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
