// A mismatch in words: the instructions, the state that they start from, and what was expected and what came.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fieldAt, initialImage, type Case, type Outcome } from '#machine/vectors/case.ts';
import type { Mismatch } from '#machine/vectors/check.ts';
import { CODE, IMAGE } from '#machine/vectors/layout.ts';

const bytesText = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ');
const valueText = (bytes: Uint8Array): string => `0x${[...bytes].reverse().map((b) => b.toString(16).padStart(2, '0')).join('')}`;

/** The instructions of a case as objdump shows them, or their bytes where there is no objdump. */
export function disassemble(c: Case): string {
  const directory = mkdtempSync(join(tmpdir(), 'xenith-case-'));
  try {
    const file = join(directory, 'code');
    writeFileSync(file, c.code);
    const result = spawnSync('objdump', ['-D', '-b', 'binary', '-M', 'intel', '-m', c.compat ? 'i386' : 'i386:x86-64', `--adjust-vma=${CODE + c.codeOffset}`, file], { encoding: 'utf8' });
    if (result.status !== 0) return bytesText(c.code);
    return result.stdout.split('\n').filter((line) => /^\s*[0-9a-f]+:/.test(line)).map((line) => line.replace(/\t/g, '  ').replace(/\s+$/, '')).join('\n    ');
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Registers that the text of an instruction names, by number. */
function initialText(c: Case, outcomes: readonly Outcome[]): string {
  const image = new DataView(new ArrayBuffer(IMAGE.size));
  initialImage(c, image);
  const ids = new Set([...c.fields, ...outcomes.flatMap((o) => o.fields)].map((f) => f.field));
  ids.add(17);
  const parts = [...ids].sort((a, b) => a - b).map((id) => {
    const { name, offset, size } = fieldAt(id);
    return `${name}=${valueText(new Uint8Array(image.buffer, offset, size))}`;
  });
  const memory = c.memory.map((m) => `[arena+${m.offset.toString(16)}]=${bytesText(m.bytes.slice(0, 32))}${m.bytes.length > 32 ? ' …' : ''}`);
  return [...parts, ...memory].join(' ');
}

const outcomeText = (o: Outcome): string => `vector ${o.vector} error ${o.error.toString(16)}${o.vector === 14 ? ` cr2 ${o.cr2.toString(16)}` : ''}`;

/** Several lines about one mismatch. */
export function showMismatch(m: Mismatch): string {
  const c = m.vector.case;
  return [
    `  ${c.compat ? '32-bit' : '64-bit'} ${disassemble(c)}`,
    `    from ${initialText(c, [m.vector.outcome, m.got])}`,
    `    processor: ${outcomeText(m.vector.outcome)}; engine: ${outcomeText(m.got)}`,
    ...m.differences.map((d) => `    ${d.what}: expected ${d.expected}, got ${d.got}`),
  ].join('\n');
}
