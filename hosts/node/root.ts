// Where the program's files lie. No other file of the program may ask where it lies itself: put together with others it is elsewhere
// (bin/program.mjs).

import { resolve } from 'node:path';

export const ROOT: string = resolve(import.meta.dirname, '../..');
