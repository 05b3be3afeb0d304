// Starts the worker that is a physical CPU (hosts/node/daemon/cpu-thread.ts).

import { keepCompiled } from './node.mjs';

keepCompiled();
await import('../hosts/node/daemon/cpu-worker.ts');
