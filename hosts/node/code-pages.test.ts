import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Wasm } from '#base/webassembly.ts';
import { codeRanges } from './code-pages.ts';
import { addressOf, collapse } from './memory-map.ts';
import { canGiveBack } from './testing/resident-memory.ts';

const MAPS = `
00400000-0345b000 r-xp 00000000 fe:00 1573002                            /usr/bin/node
137d20d96000-137d20f00000 rwxp 00000000 00:00 0
137d21401000-137d21aff000 rwxp 00000000 00:00 0
137d22000000-137d22400000 r-xp 00000000 00:00 0 
137d23000000-137d23400000 rw-p 00000000 00:00 0
7fd82c000000-7fd84bdc0000 rwxp 00000000 00:00 0
7ffd0a1c2000-7ffd0a5c4000 r-xp 00000000 00:00 0                          [vdso]
`;

test('code in huge pages: whole ones of what may be executed and is nobody else\'s', () => {
  assert.deepEqual(codeRanges(MAPS), [{ at: 0x137d21600000n, bytes: 4n << 20n }, { at: 0x137d22000000n, bytes: 4n << 20n }]);
});

const THP = '/sys/kernel/mm/transparent_hugepage/enabled';
const skip = !canGiveBack || !existsSync(THP) || readFileSync(THP, 'latin1').includes('[never]');

test('small pages that lie side by side become huge ones, with what is in them', { skip }, (t) => {
  const memory = new Wasm.Memory({ initial: 256, maximum: 256, shared: true });
  const bytes = new Uint8Array(memory.buffer).fill(7);
  const at = addressOf(memory), begin = (at + 0x1f_ffffn) / 0x20_0000n * 0x20_0000n;
  const huge = (): number => Number(/AnonHugePages: +(\d+)/.exec(readFileSync('/proc/self/smaps_rollup', 'latin1'))?.[1]);
  const before = huge();
  if (!collapse(begin, 8n << 20n)) return t.skip('this kernel does not do it when it is asked to');
  assert.ok(huge() >= before + 6 * 1024, `${huge()} KiB, ${before} before`);
  assert.ok(bytes.every((byte) => byte === 7));
});
