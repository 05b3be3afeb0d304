// A hostile guest at its ring, and what must hold whatever it sends: no exception of ours; nothing that it may not read
// comes out, nothing that it may not write changes; its quotas hold, and what others ask for they get; the store's
// invariants are kept. Everything follows from the seed.

import { XENSTORE_RING_SIZE, XS } from '#abi/io/xs-wire.ts';
import { stackOf } from '#base/error-text.ts';
import { checkStore } from '../check.ts';
import { namesFrom } from '../children.ts';
import type { Permissions } from '../permissions.ts';
import { QUOTA } from '../quota.ts';
import { Store } from '../store.ts';
import { encode, toBytes } from '../wire.ts';
import { RingGuest } from './ring-guest.ts';
import { WireClient } from './wire-client.ts';

export interface Life {
  /** messages sent */
  readonly steps: number;
  /** what must not have happened, and at which message, as lines to read */
  readonly problems: readonly string[];
  /** how often each error was answered; "OK" for what was none */
  readonly outcomes: ReadonlyMap<string, number>;
  /** how often the connection was ended, and began anew */
  readonly deaths: number;
}

/** In values, and in names that cannot be guessed, of what the guest may not read. */
const SECRET = 'S3CR3T';
const HOSTILE = 1, VICTIM = 2;
/** Messages between two looks at the whole store. */
const CHECK_EVERY = 500;

const PATHS = [
  '', '/', 'data', 'data/a', 'data/b', 'a', 'a/b/c/d/e', '/local/domain/1', '/local/domain/1/data/a', '/local', '/local/domain', '/local/domain/2',
  '/local/domain/2/private', '/local/domain/2/private/key', '/local/domain/2/private/nothing', '/tool/secret', '/tool', '/shared/area', '/shared/area/x', '/shared/area/x/y',
  '/local/domain/2/readable', '@introduceDomain', '@releaseDomain', '@', '//', 'data/', '/data//a', 'sp ace', 'n\xffme', 'x'.repeat(2048), 'x'.repeat(2049),
  `/${'y/'.repeat(900)}z`, `/${'x'.repeat(3072)}`,
] as const;
const WORDS = ['', 'T', 'F', '0', '1', '2', '9', '32752', 'n1', 'r2', 'b0', 'w3', 'n2', 'q1', 'check', 'quota', 'token', '-1', '4294967296', 't'.repeat(300)] as const;
const TYPES = [...Object.values(XS), 20, 23, 24, 0xffff, 0xffff_ffff] as const;
/** What it is after for a while: requests that use up one thing or the other, or of each something. */
const MOODS = [
  [XS.WRITE, XS.MKDIR, XS.MKDIR], [XS.WRITE], [XS.WATCH, XS.WATCH, XS.WRITE], [XS.TRANSACTION_START, XS.READ, XS.WRITE, XS.WRITE, XS.WRITE], TYPES,
  [XS.WRITE, XS.WRITE, XS.MKDIR, XS.RM, XS.SET_PERMS, XS.WATCH, XS.UNWATCH, XS.TRANSACTION_START, XS.TRANSACTION_END, XS.TRANSACTION_END, XS.READ, XS.DIRECTORY],
] as const;
const MOOD_LASTS = 1000;

export function fuzzWire(seed: number, messages: number): Life { return new Fuzzer(seed).run(messages); }

class Fuzzer {
  private readonly store = new Store();
  private readonly dom0 = new WireClient(this.store, 0);
  private readonly victim: WireClient;
  private guest: RingGuest;
  private readonly problems: string[] = [];
  private readonly answers = new Map<string, number>();
  private deaths = 0;
  private latest: Uint8Array = new Uint8Array();
  /** numbers of the latest transactions that it began */
  private open: number[] = [];
  private mood: readonly number[] = TYPES;
  /** sends long values and tokens, in transactions where it has some */
  private heavy = false;
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
    for (const [path, value, perms] of [
      ['/local/domain/1', '', 'n1'], ['/local/domain/2', '', 'n2'], ['/local/domain/2/private/key', SECRET, 'n2'], [`/local/domain/2/private/${SECRET}`, '', 'n2'],
      ['/local/domain/2/private', '', 'n2'], ['/local/domain/2/readable', 'hello', 'r2'], ['/tool/secret', SECRET, 'n0'], [`/tool/secret/${SECRET}`, '', 'n0'], ['/shared/area', '', 'b2'],
    ] as const) {
      this.dom0.call('WRITE', `${path}\0${value}`);
      this.dom0.call('SET_PERMS', `${path}\0${perms}\0`);
    }
    for (const domid of [HOSTILE, VICTIM]) this.store.introduceDomain(domid);
    this.victim = new WireClient(this.store, VICTIM);
    this.guest = new RingGuest(this.store, HOSTILE);
  }

  run(messages: number): Life {
    const before = this.protectedNodes();
    let i = 0;
    for (; i < messages && this.problems.length === 0; i++) {
      try {
        if (i % MOOD_LASTS === 0) {
          this.mood = this.pick(MOODS);
          this.heavy = this.random(3) === 0;
        }
        this.step();
        if (i % CHECK_EVERY === 0) this.check(before);
      } catch (e) {
        this.problems.push(stackOf(e));
      }
    }
    this.check(before);
    const problems = this.problems.length === 0 ? [] : [...this.problems.slice(0, 8), `the latest message: ${visible(this.latest)}`];
    return { steps: i, problems, outcomes: this.answers, deaths: this.deaths };
  }

  private random(n: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.state / 2 ** 32) * n);
  }
  private pick<T>(list: readonly T[]): T { return list[this.random(list.length)] as T; }

  private step(): void {
    const kind = this.random(2500);
    if (kind === 0) this.guest.set(this.pick(['req_cons', 'req_prod', 'rsp_cons', 'rsp_prod'] as const), this.random(2) ? this.random(2 ** 32) : this.random(4096));
    else this.send(this.latest = this.message(kind));
    if (this.random(12) > 0) this.receive();
    if (this.random(20) === 0) this.others();
    if (this.guest.server.error !== 0) this.rebirth();
  }

  private message(kind: number): Uint8Array {
    const type = this.random(8) ? this.pick(this.mood) : this.pick(TYPES);
    const transactionId = this.transactionId(type);
    const bytes = encode({ type, requestId: this.random(2 ** 32), transactionId, payload: this.payload(type) });
    if (kind < 4) bytes[this.random(bytes.length)] = this.random(256);
    if (kind === 4) return bytes.subarray(0, this.random(bytes.length));
    if (kind === 5) return Uint8Array.from({ length: this.random(100) }, () => this.random(256));
    return bytes;
  }

  private transactionId(type: number): number {
    if (this.random(40) === 0) return this.random(2 ** 32);
    if (this.open.length === 0 || (type !== XS.TRANSACTION_END && !this.heavy && this.random(4))) return 0;
    const id = this.pick(this.open);
    if (type === XS.TRANSACTION_END) this.open = this.open.filter((o) => o !== id);
    return id;
  }

  private payload(type: number): Uint8Array {
    const form = this.random(12);
    if (form === 0) return Uint8Array.from({ length: this.random(40) }, () => this.random(4) ? 97 + this.random(3) : this.random(256));
    if (form === 1) return toBytes(Array.from({ length: this.random(8) }, () => `${this.random(2) ? this.pick(PATHS) : this.pick(WORDS)}\0`).join('')).subarray(0, 4096);
    const path = this.random(5) === 0 ? this.pick(PATHS) : `data/${this.random(20)}/${this.random(20)}/${this.random(4)}/${this.random(4)}`;
    const size = this.heavy ? 1900 + this.random(100) : this.random(2) ? this.random(60) : this.random(2100);
    if (type === XS.TRANSACTION_START) return toBytes('\0');
    if (type === XS.TRANSACTION_END) return toBytes(this.random(5) ? 'T\0' : 'F\0');
    if (type === XS.WRITE) return toBytes(`${path}\0${'v'.repeat(size)}`).subarray(0, 4096);
    if (type === XS.WATCH || type === XS.UNWATCH) return toBytes(`${path}\0${'t'.repeat(this.heavy ? 1900 : 0)}${this.random(9)}\0`);
    if (type === XS.SET_PERMS) return toBytes(`${path}\0${this.pick(['n1', 'n1', 'b1', 'r1', 'n2', 'n0'])}\0${this.random(2) ? `${this.pick(WORDS)}\0` : ''}`);
    if (type === XS.RM && this.random(4)) return toBytes(`data/${this.random(20)}\0`);
    return toBytes(`${path}\0`);
  }

  /** As long as there is room, for a guest that does not read its replies may find none. */
  private send(bytes: Uint8Array): void {
    for (const at of bytes.keys()) {
      if (this.guest.server.error !== 0) return;
      if ((this.guest.get('req_prod') - this.guest.get('req_cons')) >>> 0 >= XENSTORE_RING_SIZE) {
        this.guest.server.onEvent();
        this.receive();
        if ((this.guest.get('req_prod') - this.guest.get('req_cons')) >>> 0 >= XENSTORE_RING_SIZE) return;
      }
      this.guest.place(bytes[at] as number);
    }
    this.guest.server.onEvent();
  }

  private receive(): void {
    const waiting = (this.guest.get('rsp_prod') - this.guest.get('rsp_cons')) >>> 0;
    if (waiting > XENSTORE_RING_SIZE) return;
    for (const { type, text } of this.guest.messages()) {
      if (text.includes(SECRET)) this.problems.push(`the guest was told a secret: ${type} ${text.slice(0, 100)}`);
      if (type === XS.TRANSACTION_START) this.open = [Number.parseInt(text, 10), ...this.open.slice(0, 11)];
      const answer = type === XS.ERROR ? text.slice(0, -1) : 'OK';
      this.answers.set(answer, (this.answers.get(answer) ?? 0) + 1);
    }
  }

  /** Others use the store meanwhile, and get what they ask for. */
  private others(): void {
    this.dom0.call('WRITE', `/shared/area/x\0${this.random(9)}`);
    this.dom0.call('WRITE', '/local/domain/1\0from domain 0'); // a new node would count as the guest's, whatever its quota says
    const t = this.victim.begin();
    const answers = [
      this.victim.call('WRITE', `private/${SECRET}2\0value`, t), this.victim.call('READ', 'private/key\0', t), this.victim.end(t), this.victim.call('RM', `private/${SECRET}2\0`),
      this.victim.call('WATCH', 'private\0t\0'), this.victim.call('UNWATCH', 'private\0t\0'),
    ];
    const expected = ['OK\0', SECRET, 'OK\0', 'OK\0', 'OK\0', 'OK\0'];
    if (answers.join() !== expected.join()) this.problems.push(`another domain was answered ${JSON.stringify(answers)}`);
  }

  /** Its connection was ended: it is gone, and another of its number comes. */
  private rebirth(): void {
    this.deaths++;
    this.open = [];
    this.guest.server.close();
    this.store.releaseDomain(HOSTILE);
    const { nodes, watches, transactions, memory } = this.store.usageOf(HOSTILE);
    if (nodes + watches + transactions + memory !== 0) this.problems.push(`of a domain that is gone are left ${nodes} nodes, ${watches} watches, ${transactions} transactions, ${memory} bytes`);
    this.dom0.call('MKDIR', '/local/domain/1\0');
    this.dom0.call('SET_PERMS', '/local/domain/1\0n1\0');
    this.dom0.call('MKDIR', '/shared/area\0');
    this.dom0.call('SET_PERMS', '/shared/area\0b2\0');
    this.store.introduceDomain(HOSTILE);
    this.guest = new RingGuest(this.store, HOSTILE);
  }

  private check(before: string): void {
    this.problems.push(...checkStore(this.store));
    if (this.protectedNodes() !== before) this.problems.push('what the guest may not write has changed');
    const { nodes, watches, transactions, memory } = this.store.usageOf(HOSTILE);
    if (nodes > QUOTA.nodesPerDomain) this.problems.push(`${nodes} nodes`);
    if (watches > QUOTA.watchesPerDomain) this.problems.push(`${watches} watches`);
    if (transactions > QUOTA.transactionsPerDomain) this.problems.push(`${transactions} transactions`);
    if (memory > QUOTA.memory) this.problems.push(`${memory} bytes`);
    const { u8 } = this.guest.capsule, { ring } = this.guest;
    if (u8.subarray(ring - 4096, ring).some((b) => b !== 0) || u8.subarray(ring + 4096, ring + 8192).some((b) => b !== 0)) this.problems.push('a write beside the ring');
  }

  /** All that the guest may not write, and is not in a directory where it may, as text. */
  private protectedNodes(): string {
    const lines: string[] = [];
    for (const [path, { value, perms, children }] of this.store.nodes) {
      if (/^\/local\/domain\/1(\/|$)|^\/shared/.test(path)) continue;
      const names = path === '/local/domain' ? [] : [...namesFrom(children)]; // domain 1 comes and goes
      lines.push(`${path} ${String.fromCharCode(...value)} ${JSON.stringify(perms satisfies Permissions)} ${names.join()}`);
    }
    return lines.sort().join('\n');
  }
}

/** Bytes as text, those that are no ASCII letters and signs as \xNN. */
function visible(bytes: Uint8Array): string {
  return [...bytes].map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : `\\x${b.toString(16).padStart(2, '0')}`)).join('');
}
