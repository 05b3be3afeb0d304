// npm run fuzz:xlcfg (series.ts has the options): hostile configuration files.

import { fuzzConfigs } from '#toolstack/xlcfg/testing/fuzz-configs.ts';
import { fuzz } from './series.ts';

fuzz(import.meta.url, { unit: 'configurations', life: 5000, live: fuzzConfigs });
