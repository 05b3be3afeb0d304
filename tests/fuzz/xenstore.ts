// npm run fuzz:xenstore (series.ts has the options): the hostile xenstore client, in one fresh store after the other.

import { fuzzWire } from '#toolstack/xenstore/testing/fuzz-wire.ts';
import { fuzz } from './series.ts';

fuzz(import.meta.url, { unit: 'messages', life: 5000, live: fuzzWire });
