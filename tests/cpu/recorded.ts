// The recorded vectors of the repository.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import type { Vector } from '#machine/vectors/check.ts';
import { rowKey } from '#machine/vectors/encoding.ts';
import { TESTED_ROWS } from '#machine/vectors/rows.ts';
import { decodeVectors, type VectorHeader } from '#machine/vectors/vector-file.ts';

export const RECORDED = fileURLToPath(new URL('../../machine/vectors/recorded.bin.br', import.meta.url));

/**
 * The recorded vectors, with row numbers of today's table. Vectors of rows that are gone are counted and left out.
 * @throws Error when the file is missing or damaged
 */
export function readRecorded(): { header: VectorHeader; vectors: Vector[]; orphans: number } {
  const { header, vectors } = decodeVectors(brotliDecompressSync(readFileSync(RECORDED)));
  const today = new Map(TESTED_ROWS.map((row, i) => [rowKey(row), i]));
  const kept = vectors.flatMap((v): Vector[] => {
    const row = today.get(header.rows[v.case.row] ?? '');
    return row === undefined ? [] : [{ ...v, case: { ...v.case, row } }];
  });
  return { header, vectors: kept, orphans: vectors.length - kept.length };
}
