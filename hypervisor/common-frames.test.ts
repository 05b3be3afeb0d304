// What domains have in common changes no byte of theirs. The host of these tests copies where a real one maps, and keeps a list.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GTF_permit_access, grant_entry_v1 } from '#abi/grant-table.ts';
import { FRAME_INFO_SIZE, FRAME_TABLE, PAGE_SIZE } from '#base/capsule.ts';
import type { Host } from '#base/host.ts';
import { CommonFrames } from './common-frames.ts';
import type { Domain } from './domain.ts';
import { initGrantTable } from './grant-entry.ts';
import { XEN_FRAME } from './layout.ts';
import { OWNER } from './mm/frame-table.ts';
import { copyingCommons } from './testing/copying-commons.ts';
import { fakeDomain } from './testing/fake-machine.ts';
import { PvGuest } from './testing/pv-guest.ts';

const FRAMES = 5000;
/** A row of frames that was mapped or given back: of which domain, by number from the guest's first one on. */
interface Row { readonly domid: number; readonly first: number; readonly length: number; readonly zero: boolean }

class World {
  readonly rows: Row[] = [];
  private readonly domains: Domain[] = [];
  readonly host: Pick<Host, 'common' | 'discard'> = { common: copyingCommons((memory, offset, bytes) => { this.note(memory, offset, bytes, false); }), discard: (memory, offset, bytes) => { this.note(memory, offset, bytes, true).capsule.u8.fill(0, offset, offset + bytes); } };
  readonly frames: CommonFrames = CommonFrames.of(this.host) as CommonFrames;

  private note(memory: unknown, offset: number, bytes: number, zero: boolean): Domain {
    const domain = this.domains.find(({ capsule }) => capsule.memory === memory) as Domain;
    const { capsule } = domain;
    this.rows.push({ domid: domain.domid, first: (offset - capsule.frame(capsule.xenFrames)) / PAGE_SIZE, length: bytes / PAGE_SIZE, zero });
    return domain;
  }
  /** A guest whose frame n is full of `content(n)`, but for what it needs itself. */
  add(domid: number, content: (frame: number) => number): PvGuest {
    const fake = fakeDomain(FRAMES, 1, undefined, domid);
    const guest = new PvGuest(FRAMES, fake);
    initGrantTable(fake.domain);
    for (let frame = 64; frame < FRAMES; frame++) guest.words(frame).fill(content(frame));
    this.domains.push(fake.domain);
    return guest;
  }
  /** Looks through all of a domain. @returns whether there was one like it, and what was done, in a row what belongs together */
  share(guest: PvGuest): { alike: boolean; other: Domain | undefined; rows: string[] } {
    const { domain } = guest.fake;
    const { capsule } = domain;
    const before = capsule.u8.slice(capsule.frames, capsule.scratch);
    this.rows.length = 0;
    const sharing = this.frames.begin(domain);
    while (sharing?.step());
    assert.ok(Buffer.from(capsule.buffer, capsule.frames, before.length).equals(before), 'no byte has changed');
    const rows: { first: number; end: number; zero: boolean }[] = [];
    for (const { domid, first, length, zero } of this.rows) {
      assert.equal(domid, domain.domid);
      const last = rows.at(-1);
      if (last?.end === first && last.zero === zero) last.end += length;
      else rows.push({ first, end: first + length, zero });
    }
    return { alike: sharing !== undefined, other: sharing?.other, rows: rows.map(({ first, end, zero }) => `${first}-${end}${zero ? ' zero' : ''}`) };
  }
}
const usual = (frame: number): number => (frame < 1000 || (frame >= 2000 && frame < 4500) ? frame + 1 : 0);
const but = (more: Readonly<Record<number, number>>) => (frame: number): number => more[frame] ?? usual(frame);

test('of two that are alike, what is equal becomes common, in both; long rows of zeros are given back', () => {
  const w = new World();
  const [a, b, c] = [w.add(1, but({ 700: 1, 2100: 1 })), w.add(2, but({ 2200: 2 })), w.add(3, but({ 2100: 3, 3000: 3, 3010: 3 }))];
  assert.deepEqual(w.share(a), { alike: false, other: undefined, rows: [] });
  const second = w.share(b);
  assert.equal(second.other, a.fake.domain);
  const [begin, ...rows] = second.rows; // the guests' own tables are at the beginning
  assert.match(begin as string, /^\d+-700$/);
  assert.deepEqual(rows, ['701-1000', '1000-2000 zero', '2000-2100', '2101-2200', '2201-4500', '4500-5000 zero']);
  assert.deepEqual(w.share(a).rows.slice(1), ['701-1000', '1000-2000 zero', '2000-2100', '2101-2200', '2201-4500', '4500-5000 zero']);
  const third = w.share(c);
  assert.equal(third.other, undefined, 'nobody waits for it');
  assert.deepEqual(third.rows.slice(1), ['701-1000', '1000-2000 zero', '2000-2100', '2101-2200', '2201-3000', '3011-4500', '4500-5000 zero'], 'few frames are not worth a mapping');
});

test('what it writes to is its own, until it is equal again', () => {
  const w = new World();
  const [a, b] = [w.add(1, usual), w.add(2, usual)];
  w.share(a);
  w.share(b);
  a.words(3000).fill(9);
  assert.ok(w.share(a).rows.includes('2000-3000') && w.share(a).rows.includes('3001-4500'));
  a.words(3000).fill(3001);
  assert.ok(w.share(a).rows.includes('2000-4500'));
});

test('a few zeros between are mapped too; what is zero in one only is its own', () => {
  const w = new World();
  const mostly = (n: number): number => (n % 40 === 0 ? 0 : n);
  const [a, b] = [w.add(1, mostly), w.add(2, (n) => (n === 333 ? 0 : mostly(n)))];
  w.share(a);
  assert.match(w.share(b).rows.join(), /^\d+-5000$/);
  assert.match(w.share(a).rows.join(), /^\d+-333,334-5000$/);
});

test('frames that are granted, or free, are left alone', () => {
  const w = new World();
  const [a, b] = [w.add(1, usual), w.add(2, usual)];
  const { capsule } = b.fake;
  const entry = grant_entry_v1.on(capsule.buffer).at(capsule.frame(XEN_FRAME.grantTable) + 20 * grant_entry_v1.size);
  Object.assign(entry, { flags: GTF_permit_access, domid: 1, frame: b.mfn(2500) });
  capsule.u32[(FRAME_TABLE + b.mfn(2600) * FRAME_INFO_SIZE + 12) >>> 2] = OWNER.nobody;
  w.share(a);
  const { rows } = w.share(b);
  assert.ok(rows.includes('2000-2500') && rows.includes('2501-2600') && rows.includes('2601-4500'), rows.join());
});

test('those that are not alike, or not of the same size, have nothing in common', () => {
  const w = new World();
  const others = [w.add(1, usual), w.add(2, (n) => usual(n) * 3), w.add(3, (n) => usual(n) * 5)];
  for (const guest of others) assert.ok(!w.share(guest).alike);
  assert.ok(w.share(w.add(4, (n) => usual(n) * 3)).alike);
  assert.ok(w.share(w.add(5, usual)).alike);
});
