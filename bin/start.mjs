// npm start: a shell in the default guest; without a terminal, one command in it.

import { fileURLToPath } from 'node:url';
import { failPlainly, runNode } from './node.mjs';

const xenith = fileURLToPath(new URL('xenith.mjs', import.meta.url));
const interactive = process.stdin.isTTY && process.stdout.isTTY;
try {
  runNode([xenith, 'run', ...(interactive ? [] : ['--', 'uname', '-a'])]);
} catch (error) {
  failPlainly(error);
}
