// npm run fuzz:hypercalls (series.ts has the options): the hostile guest, in one fresh domain after the other.

import { prebuilt } from '../guests/build.ts';
import { live } from './hostile-domain.ts';
import { fuzz } from './series.ts';

const kernel = prebuilt('fuzz');
fuzz(import.meta.url, { unit: 'hypercalls', life: 4000, live: (seed, calls) => live(kernel, seed, calls) });
