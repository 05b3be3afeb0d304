#!/usr/bin/env node
// The xenith command. See node.mjs for why it is in two halves.

import v8 from 'node:v8';
import { DAEMON, failPlainly, keepCompiled, LATE, LEAN, prepare, runNode } from './node.mjs';
import { load } from './program.mjs';

/** Commands that run guests. */
const OPTIONS = { run: LEAN, daemon: DAEMON };

/** This process becomes one with these options, if the system can do that. */
function restartWith(options) {
  if (options.length === 0 || process.execArgv.includes(options[0])) return;
  process.execve?.(process.execPath, [process.execPath, ...process.execArgv, ...options, ...process.argv.slice(1)]);
}

const [,, command = ''] = process.argv;
const options = Object.hasOwn(OPTIONS, command) ? OPTIONS[command] : [];
try {
  if (prepare()) {
    restartWith(options);
    for (const option of LATE) v8.setFlagsFromString(option);
    keepCompiled();
    const { main } = await load('main');
    await main(process.argv.slice(2));
  } else runNode([...options, ...process.argv.slice(1)]);
} catch (error) {
  failPlainly(error);
}
