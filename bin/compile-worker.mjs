// Starts the worker that compiles guest code (hosts/node/region-compiler.ts).

import { keepCompiled } from './node.mjs';

keepCompiled();
await import('../hosts/node/compile-worker.ts');
