#!/usr/bin/env node
// The xenith command. See node.mjs for why it is in two halves.

import v8 from 'node:v8';
import { failPlainly, keepCompiled, LATE, LEAN, prepare, runNode } from './node.mjs';

try {
  if (prepare()) {
    for (const option of LATE) v8.setFlagsFromString(option);
    keepCompiled();
    const { main } = await import('../hosts/node/cli/main.ts');
    await main(process.argv.slice(2));
  } else runNode([...LEAN, ...process.argv.slice(1)]);
} catch (error) {
  failPlainly(error);
}
