// node bin/with-node.mjs ARGUMENTS: runs a new enough Node with them, after setting up what is missing. For npm scripts.

import { failPlainly, runNode } from './node.mjs';

try {
  runNode(process.argv.slice(2));
} catch (error) {
  failPlainly(error);
}
