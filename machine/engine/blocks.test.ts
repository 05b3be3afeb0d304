import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REG } from '../cpu-state.ts';
import { FlatMachine } from '../testing/flat-machine.ts';
import type { Blocks } from './blocks.ts';
import { blockEntry } from './record.ts';

test('two blocks with the same hash are both known to generated code', () => {
  const m = new FlatMachine();
  // a: sub rcx, 1; jmp b. b: jrcxz end; jmp a. end: ud2
  const a = 0x10, b = 0x8013;
  m.put(a, '48 83 e9 01 e9 fa 7f 00 00');
  m.put(b, 'e3 05 e9 f6 7f ff ff 0f 0b');
  const frames = m.capsule.frames;
  assert.equal(blockEntry(m.at(a) - frames), blockEntry(m.at(b) - frames));
  const { blocks } = m.machine as unknown as { readonly blocks: Blocks };
  let lookups = 0;
  const lookup = blocks.lookup.bind(blocks);
  blocks.lookup = (cpu) => { lookups++; return lookup(cpu); };
  const run = (): number => {
    lookups = 0;
    m.machine.flushTlb(); // and what is known of where jumps lead
    m.cpu.set(REG.rcx, 20n);
    assert.equal(m.finish(a), b + 7);
    return lookups;
  };
  run();
  assert.ok(run() <= 1, `${lookups} looks for blocks that are known`);
});
