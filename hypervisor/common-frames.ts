// Frames that domains have in common. Domains that are alike, the same kernel with the same memory, differ in little: of two default
// guests of 32 MiB that wait at their prompts 8,000 of 8,192 frames are zero or equal. When a domain is idle, its frames are compared
// with those of another idle one of its size on the same CPU. What is equal goes into a common memory (Host.common), and both are made
// of that, up to where they write; what is all zeros is given back. No byte of either changes.
//
// A frame that others may write to while it is compared is left out: one that is granted to somebody, and one that is free, which a
// transfer may fill. All others are written to by this thread alone, as long as the domain is on one CPU.
//
// Like other things of this kind it can tell a guest by the time of its first store whether another domain has the same page.

import { GTF_permit_access, GTF_type_mask } from '#abi/grant-table.ts';
import { type Capsule, PAGE_SIZE } from '#base/capsule.ts';
import type { CommonMemories, CommonMemory, Host } from '#base/host.ts';
import type { Domain } from './domain.ts';
import { activeFrame, pinOf } from './grant-active.ts';
import { nrGrantEntries, readFrame, readHeader, withGrants } from './grant-entry.ts';
import { OWNER } from './mm/frame-table.ts';

/** Frames that are compared in one go: some 3 ms. */
const STEP = 2048;
/** Fewer frames in a row are not mapped, and so many rows at the most: Linux allows a process 65,530 mappings, and each row can make two. */
const LEAST = 24, MOST_ROWS = 16;
/** Frames of zeros in a row that are given back. */
const ZEROS = 64;
/** Common memories, and domains that wait for one like them, that a CPU remembers. */
const KINDS = 8;
/** Frames that are looked at to see whether two are alike; where; the part of them, but for zeros, that is equal then. */
const SAMPLES = 128, SAMPLED = 16_384, ALIKE = 0.25;

const WORDS = PAGE_SIZE / 4;

/** Frames of guest memory, by number. */
interface Frames {
  readonly words: Int32Array;
  /** index of frame 0's first word */
  readonly base: number;
}
interface Kind {
  readonly frames: number;
  /** what such domains have in common; missing: a domain waits for a second one */
  readonly common?: { readonly memory: CommonMemory; readonly frames: Frames; readonly present: Uint8Array };
  readonly first: WeakRef<Domain>;
}

/** What the domains of one CPU have in common. */
export class CommonFrames {
  private readonly commons: CommonMemories;
  private readonly host: Pick<Host, 'discard'>;
  private readonly kinds: Kind[] = [];

  private constructor(commons: CommonMemories, host: Pick<Host, 'discard'>) {
    this.commons = commons;
    this.host = host;
  }
  /** Undefined: this host cannot do that. */
  static of(host: Pick<Host, 'common' | 'discard'>): CommonFrames | undefined { return host.common && new CommonFrames(host.common, host); }

  /**
   * Begins to look through a domain that is idle.
   * @returns undefined when there is none like it
   */
  begin(domain: Domain): FrameSharing | undefined {
    const { capsule } = domain;
    const own = framesOf(capsule);
    const alike = this.kinds.find((kind) => kind.frames === capsule.guestFrames && this.isAlike(own, capsule.guestFrames, kind, domain));
    if (alike?.common) return new FrameSharing(domain, alike.common, undefined, this.commons, this.host);
    const other = alike?.first.deref();
    const memory = other && this.commons.create(capsule.guestFrames * PAGE_SIZE);
    if (!alike || !other || !memory) {
      this.remember({ frames: capsule.guestFrames, first: new WeakRef(domain) });
      return undefined;
    }
    const common = { memory, frames: { words: new Int32Array(memory.memory.buffer), base: 0 }, present: new Uint8Array(capsule.guestFrames) };
    this.kinds.splice(this.kinds.indexOf(alike), 1);
    this.remember({ ...alike, common });
    return new FrameSharing(domain, common, other, this.commons, this.host);
  }
  private remember(kind: Kind): void {
    const { kinds } = this;
    for (let i = kinds.length - 1; i >= 0; i--) if (!kinds[i]?.common && kinds[i]?.first.deref() === kind.first.deref()) kinds.splice(i, 1);
    kinds.push(kind);
    if (kinds.length > KINDS) kinds.shift();
  }
  private isAlike(own: Frames, frames: number, { common, first }: Kind, domain: Domain): boolean {
    const other = first.deref();
    if (!common && (!other || other === domain)) return false;
    const theirs = common?.frames ?? framesOf((other as Domain).capsule);
    let used = 0, equal = 0;
    for (let i = 0, step = Math.max(1, Math.min(frames, SAMPLED) / SAMPLES); i < SAMPLES; i++) {
      const frame = Math.floor(i * step);
      if (frame >= frames || isZero(own, frame)) continue;
      used++;
      if ((!common || common.present[frame] === 1) && isEqual(own, theirs, frame)) equal++;
    }
    return equal > 0 && equal >= used * ALIKE;
  }
}

/** One look through a domain's frames. */
export class FrameSharing {
  /** who was alike, and may look through its frames too now */
  readonly other: Domain | undefined;
  private readonly domain: Domain;
  private readonly common: NonNullable<Kind['common']>;
  private readonly commons: CommonMemories;
  private readonly host: Pick<Host, 'discard'>;
  private next = 0;
  private rows = 0;
  /** frame behind the last row */
  private mapped = -1;

  constructor(domain: Domain, common: NonNullable<Kind['common']>, other: Domain | undefined, commons: CommonMemories, host: Pick<Host, 'discard'>) {
    this.domain = domain;
    this.common = common;
    this.other = other;
    this.commons = commons;
    this.host = host;
  }

  /** Goes on for some milliseconds. The domain does not run. @returns whether there is more to do */
  step(): boolean {
    const { domain, next } = this;
    const { capsule } = domain;
    if (domain.threads.count > 1) return false;
    const end = Math.min(next + STEP, capsule.guestFrames);
    const kept = keptFrames(domain, next, end);
    if (this.other) this.gather(kept, next, end);
    this.map(kept, next, end);
    this.next = end;
    return end < capsule.guestFrames;
  }

  /** Puts what is equal in both into what they have in common. */
  private gather(kept: ReadonlySet<number>, from: number, end: number): void {
    const { common: { frames, present }, domain, other } = this;
    const own = framesOf(domain.capsule), theirs = framesOf((other as Domain).capsule);
    for (let i = from; i < end; i++) {
      if (kept.has(i) || !isEqual(own, theirs, i) || isZero(own, i)) continue;
      frames.words.set(own.words.subarray(own.base + i * WORDS, own.base + (i + 1) * WORDS), i * WORDS);
      present[i] = 1;
    }
  }
  /** Maps rows of frames that are as in the common memory, which is zero where nothing is; long rows of zeros are given back. */
  private map(kept: ReadonlySet<number>, from: number, end: number): void {
    let first = -1, last = -1, zeros = -1; // of the row so far; and where the zeros behind it begin
    const endRow = (): void => {
      if (first >= 0) this.mapRow(first, last + 1 - first);
      first = -1;
    };
    for (let i = from; i <= end; i++) {
      const kind = i < end && !kept.has(i) ? this.kindOf(i) : 'own';
      if (kind === 'zero') {
        if (zeros < 0) zeros = i;
        continue;
      }
      if (zeros >= 0 && i - zeros >= ZEROS) {
        endRow();
        this.giveBack(zeros, i - zeros);
      }
      zeros = -1;
      if (kind === 'own') endRow();
      else [first, last] = [first < 0 ? i : first, i];
    }
  }
  private kindOf(frame: number): 'own' | 'zero' | 'common' {
    const own = framesOf(this.domain.capsule), { frames, present } = this.common;
    if (present[frame] === 1) return isEqual(own, frames, frame) ? 'common' : 'own';
    return isZero(own, frame) ? 'zero' : 'own';
  }
  private mapRow(first: number, length: number): void {
    const isNew = first !== this.mapped;
    if (length < LEAST || (isNew && this.rows === MOST_ROWS)) return;
    if (isNew) this.rows++;
    this.mapped = first + length;
    const { capsule } = this.domain;
    this.commons.put(this.common.memory, first * PAGE_SIZE, capsule.memory, capsule.frame(capsule.xenFrames + first), length * PAGE_SIZE);
  }
  private giveBack(first: number, length: number): void {
    const { capsule } = this.domain;
    this.host.discard?.(capsule.memory, capsule.frame(capsule.xenFrames + first), length * PAGE_SIZE);
  }
}

/** The guest's frames from its first one on. */
function framesOf({ i32: words, frames, xenFrames }: Capsule): Frames { return { words, base: (frames + xenFrames * PAGE_SIZE) >>> 2 }; }

/** Those of a part that somebody else may write to, by number from the guest's first one on. */
function keptFrames({ capsule, mm }: Domain, from: number, end: number): ReadonlySet<number> {
  const { xenFrames } = capsule;
  const kept = new Set<number>();
  for (let i = from; i < end; i++) if (mm.frames.owner(xenFrames + i) === OWNER.nobody) kept.add(i);
  withGrants(capsule, () => {
    for (let ref = 0, all = nrGrantEntries(capsule); ref < all; ref++) {
      if ((readHeader(capsule, ref) & GTF_type_mask) === GTF_permit_access) kept.add(readFrame(capsule, ref) - xenFrames);
      if (pinOf(capsule, ref) !== 0) kept.add(activeFrame(capsule, ref) - xenFrames);
    }
  });
  return kept;
}

function isZero({ words, base }: Frames, frame: number): boolean {
  for (let i = base + frame * WORDS, end = i + WORDS; i < end; i++) if (words[i] !== 0) return false;
  return true;
}
function isEqual(a: Frames, b: Frames, frame: number): boolean {
  for (let i = a.base + frame * WORDS, j = b.base + frame * WORDS, end = i + WORDS; i < end; i++, j++) if (a.words[i] !== b.words[j]) return false;
  return true;
}
