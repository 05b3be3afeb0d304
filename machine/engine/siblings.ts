// Machines that run vCPUs of one domain at the same time, each on a thread of its own. Each has translations and decoded code of
// its own; here they tell each other what is no longer true. A machine is *inside* while it executes guest code, or works for
// it; it uses nothing that is cached when it is outside.
//
// Whoever drops something of its own posts it. A machine does what was posted when it goes inside and, inside, every SLICE
// instructions at the latest. Who has to know that nobody uses it any more waits for that (`settle`): whoever is outside
// need not be waited for, as it does what was posted before it uses anything. A machine that waits while it is inside does what
// is posted meanwhile, so that two that wait for each other go on.
//
// What was posted is kept in two rings, translations and frames with code. Who has slept for longer than they reach back drops all.

import { assert } from '#base/assert.ts';
import { type Capsule, VCPU_BASE } from '#base/capsule.ts';
import { withLock } from '#base/spin-lock.ts';
import { CPU } from '../cpu-state.ts';

/** So many machines can have a domain at once. */
export const MAX_MACHINES = 8;
/** What is posted of translations: of a page, of all, those that let a frame be written, those of a base table; or nothing, to be waited for. */
export const POSTED = { page: 0, all: 1, writes: 2, base: 3, nothing: 4 } as const;
/** Why a machine is to look up from its guest's code: something was posted; the hypervisor wants it. */
const ATTENTION = { posted: 1, wanted: 2 } as const;

const RING = 256, CODE_RING = 4096;
/** In words. Each machine's are a cache line. */
const LOCK = 0, HEAD = 1, CODE_HEAD = 2, MACHINES = 16, MACHINE_WORDS = 16;
const INSIDE = 0, DONE = 1, CODE_DONE = 2, ASKED = 3;
const ENTRIES = MACHINES + MAX_MACHINES * MACHINE_WORDS, ENTRY_WORDS = 4;
const CODE_ENTRIES = ENTRIES + RING * ENTRY_WORDS;
/** Looks before a thread that waits lets others have its processor for a while, ms; so many of those are too long. */
const LOOKS = 2000, NAP = 0.1, TOO_LONG = 300_000;

/** What a machine does about what others have posted. */
export interface Follower {
  /** a POSTED */
  translations(kind: number, lo: number, hi: number, mfn: number): void;
  code(mfn: number): void;
  allCode(): void;
}

/** How many machines a domain's capsule has room for. */
export function machinesOf({ u32 }: Capsule): number { return (u32[AT_COUNT] as number) || 1; }
export function setMachines({ u32 }: Capsule, count: number): void { u32[AT_COUNT] = count; }
const AT_COUNT = (VCPU_BASE + CPU.machines) >>> 2;

export class Siblings {
  static readonly size: number = (CODE_ENTRIES + CODE_RING) * 4;
  private readonly i32: Int32Array<SharedArrayBuffer>;
  private readonly at: number;
  private readonly count: number;
  private readonly me: number;
  private readonly follower: Follower | undefined;
  /** how often something was done that others had posted */
  followed = 0;

  /**
   * @param at capsule offset
   * @param me which of the machines this is; -1: none, who only posts and waits
   */
  constructor(capsule: Capsule, at: number, me = -1, follower?: Follower) {
    this.i32 = capsule.i32;
    this.at = at >>> 2;
    this.count = machinesOf(capsule);
    this.me = me;
    this.follower = follower;
    if (me < 0) return;
    Atomics.store(this.i32, this.word(me, INSIDE), 0);
    this.catchUp();
  }
  private word(machine: number, field: number): number { return this.at + MACHINES + machine * MACHINE_WORDS + field; }
  private get isInside(): boolean { return this.me >= 0 && this.i32[this.word(this.me, INSIDE)] !== 0; }
  /** Translations posted so far; a number of 32 bits. */
  get posted(): number { return Atomics.load(this.i32, this.at + HEAD) >>> 0; }

  // ---- posting

  post(kind: number, lo: number, hi: number, mfn: number): void {
    this.append(HEAD, (n) => {
      const entry = this.at + ENTRIES + (n & (RING - 1)) * ENTRY_WORDS;
      this.i32[entry] = kind;
      this.i32[entry + 1] = lo;
      this.i32[entry + 2] = hi;
      this.i32[entry + 3] = mfn;
    });
  }
  /** A frame with code was written to. */
  postCode(mfn: number): void { this.append(CODE_HEAD, (n) => { this.i32[this.at + CODE_ENTRIES + (n & (CODE_RING - 1))] = mfn; }); }
  private append(head: number, write: (n: number) => void): void {
    const { i32 } = this;
    withLock(i32, this.at + LOCK, () => {
      write(i32[this.at + head] as number);
      Atomics.add(i32, this.at + head, 1);
    });
    for (let m = 0; m < this.count; m++) if (m !== this.me) Atomics.or(i32, this.word(m, ASKED), ATTENTION.posted);
  }

  // ---- following

  enter(): void {
    Atomics.store(this.i32, this.word(this.me, INSIDE), 1);
    this.follow();
  }
  leave(): void { Atomics.store(this.i32, this.word(this.me, INSIDE), 0); }
  /** True when the machine has to look up from its guest's code. */
  get isAsked(): boolean { return this.i32[this.word(this.me, ASKED)] !== 0; }
  /** Does what was posted. True when the hypervisor wants this machine. */
  answer(): boolean {
    const asked = Atomics.exchange(this.i32, this.word(this.me, ASKED), 0);
    this.follow();
    return (asked & ATTENTION.wanted) !== 0;
  }
  /** The hypervisor wants another machine to come outside. */
  want(machine: number): void { Atomics.or(this.i32, this.word(machine, ASKED), ATTENTION.wanted); }
  private follow(): void {
    const { i32, follower } = this;
    const code = Atomics.load(i32, this.at + CODE_HEAD), head = Atomics.load(i32, this.at + HEAD);
    const codeDone = i32[this.word(this.me, CODE_DONE)] as number, done = i32[this.word(this.me, DONE)] as number;
    if (code !== codeDone) {
      this.followed++;
      if (this.reachesBack(code, codeDone, CODE_RING)) for (let n = codeDone; n !== code; n = n + 1 | 0) follower?.code(i32[this.at + CODE_ENTRIES + (n & (CODE_RING - 1))] as number);
      if (!this.reachesBack(Atomics.load(i32, this.at + CODE_HEAD), codeDone, CODE_RING)) follower?.allCode();
      Atomics.store(i32, this.word(this.me, CODE_DONE), code);
    }
    if (head === done) return;
    this.followed++;
    if (this.reachesBack(head, done, RING)) {
      for (let n = done; n !== head; n = n + 1 | 0) {
        const entry = this.at + ENTRIES + (n & (RING - 1)) * ENTRY_WORDS;
        follower?.translations(i32[entry] as number, (i32[entry + 1] as number) >>> 0, (i32[entry + 2] as number) >>> 0, (i32[entry + 3] as number));
      }
    }
    if (!this.reachesBack(Atomics.load(i32, this.at + HEAD), done, RING)) follower?.translations(POSTED.all, 0, 0, -1);
    Atomics.store(i32, this.word(this.me, DONE), head);
  }
  /** What was posted since `done` is still there: one place is left for what somebody is writing. */
  private reachesBack(head: number, done: number, size: number): boolean { return (head - done >>> 0) < size; }
  private catchUp(): void {
    const { i32 } = this;
    i32[this.word(this.me, DONE)] = Atomics.load(i32, this.at + HEAD);
    i32[this.word(this.me, CODE_DONE)] = Atomics.load(i32, this.at + CODE_HEAD);
  }

  // ---- waiting

  /** Waits until no other machine uses what was posted before. @param upTo a number that `posted` was; all of it unless said otherwise */
  settle(upTo?: number): void {
    const { posted } = this;
    if (upTo === undefined || (posted - upTo | 0) < 0) upTo = posted; // a number that is old, or none
    const code = Atomics.load(this.i32, this.at + CODE_HEAD);
    for (let m = 0; m < this.count; m++) if (m !== this.me) this.waitFor(m, upTo, code);
  }
  private waitFor(machine: number, upTo: number, code: number): void {
    const { i32 } = this;
    const behind = (field: number, to: number): boolean => (Atomics.load(i32, this.word(machine, field)) - to | 0) < 0;
    for (let looks = 0; Atomics.load(i32, this.word(machine, INSIDE)) !== 0 && (behind(DONE, upTo) || behind(CODE_DONE, code)); looks++) {
      if (this.isInside) this.follow();
      assert(looks < TOO_LONG, 'a machine that is inside looks up now and then');
      if (looks >= LOOKS) Atomics.wait(i32, this.word(machine, MACHINE_WORDS - 1), 0, NAP);
    }
  }
}
