// npm start: a shell in the default guest; without a terminal, one command in it.

import { fileURLToPath } from 'node:url';
import { failPlainly, LEAN, runNode } from './node.mjs';

const xenith = fileURLToPath(new URL('xenith.mjs', import.meta.url));
const interactive = process.stdin.isTTY && process.stdout.isTTY;
try {
  runNode([...LEAN, xenith, 'run', ...(interactive ? [] : ['--', 'uname', '-a'])]);
} catch (error) {
  failPlainly(error);
}
