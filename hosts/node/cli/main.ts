// The xenith command: which subcommand, and what becomes of its errors. Each subcommand loads what it needs: to run a guest is
// 300 files, to ask a daemon 50.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RequestError } from '../daemon/client.ts';
import { DaemonError } from '../daemon/daemon-error.ts';
import { ROOT } from '../root.ts';
import { HELP, RUN_HELP } from './help.ts';
import { UsageError } from './usage-error.ts';

const FAILED = 1, BAD_USAGE = 2;
/** EX_SOFTWARE of sysexits.h: a bug of ours */
const INTERNAL_ERROR = 70;

/** Runs the command line and ends the process. */
export async function main(words: readonly string[]): Promise<void> {
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  try {
    process.exit(await command(words));
  } catch (error) {
    fail(error);
  }
}

async function command(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words;
  switch (name) {
    case 'run': {
      const args = (await import('./args.ts')).parseRunArgs(rest);
      return args.help ? print(RUN_HELP) : (await import('./run-command.ts')).runCommand(args);
    }
    case 'daemon': return (await import('./daemon-command.ts')).daemonCommand(rest);
    case '--help': case '-h': case 'help': return print(HELP);
    case '--version': return print(`xenith ${version()}\n`);
    case undefined: throw new UsageError('no command given');
    default: {
      const { DOMAIN_COMMANDS, domainCommand } = await import('./domain-commands.ts');
      const found = Object.hasOwn(DOMAIN_COMMANDS, name) ? DOMAIN_COMMANDS[name] : undefined;
      if (!found) throw new UsageError(`${name}: no such command`);
      return print(await domainCommand(name, found, rest));
    }
  }
}

function print(text: string): Promise<number> {
  return new Promise((done) => { process.stdout.write(text, () => done(0)); });
}

function version(): string {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

/** Ends the process because of an error. The terminal is put back as it was on the way out. */
function fail(error: unknown): never {
  if (error instanceof RequestError || error instanceof DaemonError) {
    console.error(`xenith: ${error.message}`);
    process.exit(FAILED);
  }
  if (error instanceof UsageError) {
    console.error(`xenith: ${error.message}\nTry: xenith --help, or xenith run --help`);
    process.exit(BAD_USAGE);
  }
  console.error('xenith: internal error; this is a bug of Xenith');
  console.error(error);
  process.exit(INTERNAL_ERROR);
}
