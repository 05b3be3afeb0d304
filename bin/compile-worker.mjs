// Starts the worker that compiles guest code (hosts/node/region-compiler.ts).

import { keepCompiled } from './node.mjs';
import { load } from './program.mjs';

keepCompiled();
await load('compile-worker');
