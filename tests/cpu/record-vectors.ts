// node tests/cpu/record-vectors.ts [--cases-per-row N] [--seed S] [--date YYYY-MM-DD]
// Records vectors on this machine's processor into machine/vectors/recorded.bin.br, which npm test runs everywhere.

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { brotliCompressSync, constants } from 'node:zlib';
import { coverageOf } from '#machine/vectors/coverage.ts';
import { rowKey } from '#machine/vectors/encoding.ts';
import { TESTED_ROWS } from '#machine/vectors/rows.ts';
import { encodeVectors } from '#machine/vectors/vector-file.ts';
import { freshVectors } from './fresh-vectors.ts';
import { processorName } from './native-runner.ts';
import { RECORDED } from './recorded.ts';

const { values } = parseArgs({
  options: { 'cases-per-row': { type: 'string', default: '48' }, seed: { type: 'string', default: '1' }, date: { type: 'string', default: new Date().toISOString().slice(0, 10) } },
});

const seed = Number(values.seed);
const rows = TESTED_ROWS.map(rowKey);
const chosen = rows.map((_, i) => i);
const vectors = [...freshVectors(TESTED_ROWS, chosen, rows.length * Number(values['cases-per-row']), seed)].flat().sort((a, b) => a.case.row - b.case.row);
const bytes = encodeVectors({ header: { format: 1, processor: processorName(), date: values.date, seed, rows }, vectors });
const compressed = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
writeFileSync(RECORDED, compressed);
const coverage = coverageOf(vectors, rows);
console.log(`${vectors.length} vectors, ${coverage.covered} of ${coverage.rows} rows, ${bytes.length} bytes, ${compressed.length} compressed`);
if (coverage.missing.length > 0) console.log(`without vectors: ${coverage.missing.join(' | ')}`);
