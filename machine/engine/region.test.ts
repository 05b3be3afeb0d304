import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ROWS } from '../isa/table.ts';
import { REC } from './record.ts';
import { RegionBuilder, type Block, type Step } from './region.ts';

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
    const block = { record: steps[0]?.record ?? 0, start, mfn: start >>> 12, secondMfn: -1, steps, heat: HOT, compiled: false };
    this.blocks.set(start, block);
    return block;
  }
  /** Addresses of the blocks in the region that begins here. */
  region(seed: Block): string[] {
    const region = new RegionBuilder({ blockAt: (address) => this.blocks.get(address), targetsOf: () => [] }, this.dv).build(seed, HOT / 16, true);
    return (region?.nodes ?? []).map((node) => node.block.start.toString(16)).sort();
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
  for (const records of [1, 10, 32]) assert.deepEqual(loopThatCalls(records), ['1000', '100c', '2000'], `${records} records`);
});

test('a large function stays outside, to be a region of its own for all who call it', () => {
  for (const records of [33, 100]) assert.deepEqual(loopThatCalls(records), ['1000'], `${records} records`);
});

test('a function is as large as what of it is executed', () => {
  const program = new Program();
  const loop = program.block(0x1000, 2, CALL, 0x2000);
  program.block(0x100c, 1, JMP, 0x1000);
  program.block(0x2000, 20, JMP, 0x2100);
  program.block(0x2100, 20, RET);
  assert.deepEqual(program.region(loop), ['1000']);
});
