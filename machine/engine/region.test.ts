import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROWS } from '../isa/table.ts';
import { REC } from './record.ts';
import { RegionBuilder, type Block, type Node, type Step } from './region.ts';

const LENGTH = 4, HOT = 2000;
const rowNumber = (name: string, operand = ''): number => ROWS.findIndex((row) => row.name === name && (row.operands[0] ?? '').startsWith(operand));
const NOP = rowNumber('NOP'), CALL = rowNumber('CALL', 'J'), RET = rowNumber('RET'), JMP = rowNumber('JMP', 'J');

/** A program of instructions of 4 bytes each. */
class Program {
  readonly dv = new DataView(new ArrayBuffer(1 << 16));
  private readonly blocks = new Map<number, Block>();
  private next = REC.size;

  /** @param to where its last instruction jumps, if that is a jump */
  block(start: number, fillers: number, last: number, to?: number): Block {
    const steps = Array.from({ length: fillers + 1 }, (_, i): Step => {
      const record = this.next, row = i === fillers ? last : NOP;
      this.next += REC.size;
      this.dv.setUint16(record + REC.offset, (start & 4095) + i * LENGTH, true);
      this.dv.setUint8(record + REC.length, LENGTH);
      this.dv.setUint8(record + REC.icount, i);
      const jump = i === fillers && to !== undefined ? { distance: to - (start - (start & 4095)), bits: 64 } : undefined;
      return { record, jump, spec: { row, opSize: 64, form: 'r', dead: false, rep: '', addrSize: 64, mode64: true, fused: -1 } as Step['spec'] };
    });
    const block = { record: steps[0]?.record ?? 0, start, mfn: start >>> 12, secondMfn: -1, steps, heat: HOT };
    this.blocks.set(start, block);
    return block;
  }
  /** Addresses of the blocks in the region that begins here. */
  region(seed: Block): string[] { return this.nodes(seed).map((node) => node.block.start.toString(16)).sort(); }
  nodes(seed: Block): readonly Node[] {
    const region = new RegionBuilder({ blockAt: (address) => this.blocks.get(address), targetsOf: () => [] }, this.dv).build(seed, HOT / 16);
    return region.nodes;
  }
}

/** A loop that calls a function of so many records, the last of which returns. */
function loopThatCalls(records: number): string[] {
  const program = new Program();
  const loop = program.block(0x1000, 2, CALL, 0x2000);
  program.block(0x100c, 1, JMP, 0x1000);
  program.block(0x2000, records - 1, RET);
  return program.region(loop);
}

test('a loop takes in a small function that it calls, and what comes behind the call', () => {
  for (const records of [1, 4, 8]) assert.deepEqual(loopThatCalls(records), ['1000', '100c', '2000'], `${records} records`);
});

test('a large function stays outside, to be a region of its own for all who call it: the loop waits for it', () => {
  for (const records of [9, 100]) assert.deepEqual(loopThatCalls(records), ['1000', '100c'], `${records} records`);
});

test('a function is as large as what of it is executed', () => {
  const program = new Program();
  const loop = program.block(0x1000, 2, CALL, 0x2000);
  program.block(0x100c, 1, JMP, 0x1000);
  program.block(0x2000, 5, JMP, 0x2100);
  program.block(0x2100, 5, RET);
  assert.deepEqual(program.region(loop), ['1000', '100c']);
});

test('what comes behind a call in the next page is not waited for', () => {
  const program = new Program();
  const entry = program.block(0x1ff4, 2, CALL, 0x3000);
  program.block(0x2000, 3, RET);
  program.block(0x3000, 100, RET);
  assert.deepEqual(program.region(entry), ['1ff4']);
});

test('a function is one region: what comes behind its calls, and loops that its beginning is not of', () => {
  const program = new Program();
  const entry = program.block(0x1000, 2, CALL, 0x3000);
  program.block(0x100c, 1, JMP, 0x1110);
  program.block(0x1110, 1, CALL, 0x3000);
  program.block(0x1118, 1, JMP, 0x100c);
  program.block(0x3000, 100, RET);
  const nodes = program.nodes(entry);
  assert.deepEqual(nodes.map((node) => [node.block.start, node.after?.block.start]), [[0x1000, 0x100c], [0x100c, undefined], [0x1110, 0x1118], [0x1118, undefined]]);
});
