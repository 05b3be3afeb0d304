// Starts the worker that is a physical CPU (hosts/node/daemon/cpu-thread.ts).

import { keepCompiled } from './node.mjs';
import { load } from './program.mjs';

keepCompiled();
await load('cpu-worker');
