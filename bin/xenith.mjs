#!/usr/bin/env node
// The xenith command. See node.mjs for why it is in two halves.

import v8 from 'node:v8';
import { DAEMON, failPlainly, keepCompiled, LATE, LEAN, prepare, runNode } from './node.mjs';

/** This process becomes one with these options, if the system can do that. */
function restartWith(options) {
  if (process.execArgv.includes(options[0])) return;
  process.execve?.(process.execPath, [process.execPath, ...process.execArgv, ...options, ...process.argv.slice(1)]);
}

const isDaemon = process.argv[2] === 'daemon';
try {
  if (prepare()) {
    if (isDaemon) restartWith(DAEMON);
    for (const option of LATE) v8.setFlagsFromString(option);
    keepCompiled();
    const { main } = await import('../hosts/node/cli/main.ts');
    await main(process.argv.slice(2));
  } else runNode([...(isDaemon ? [...DAEMON, ...LATE] : LEAN), ...process.argv.slice(1)]);
} catch (error) {
  failPlainly(error);
}
