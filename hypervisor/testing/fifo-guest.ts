// A guest of the FIFO ABI, for tests of event channels.

import { EVTCHNOP, evtchn_bind_ipi, evtchn_expand_array, evtchn_init_control, evtchn_port, evtchn_set_priority } from '#abi/event-channel.ts';
import { assert } from '#base/assert.ts';
import { do_event_channel_op } from '../event-channel.ts';
import { DomU } from './domu.ts';

/** Bits of an event word. */
export const PENDING: number = 1 << 31, MASKED: number = 1 << 30, LINKED: number = 1 << 29, BUSY: number = 1 << 28, LINK: number = (1 << 17) - 1;
const op = do_event_channel_op;

/** A guest that uses the FIFO ABI as its design says: it takes events off the heads of queues, highest priority first. */
export class FifoGuest extends DomU {
  private readonly heads: number[][];
  private readonly blocks: number[];
  private readonly array: number[] = [];

  /** @param pages of the event array */
  constructor(vcpus = 1, pages = 1) {
    super(vcpus);
    this.heads = this.domain.vcpus.map(() => Array<number>(16).fill(0));
    this.blocks = this.domain.vcpus.map((_, id) => this.free + id);
    for (const id of this.blocks.keys()) assert(this.initControl(id) === 0, 'a control block is taken');
    for (let i = 0; i < pages; i++) assert(this.expand(this.free + vcpus + i) === 0, 'a page of the event array is taken');
  }

  initControl(vcpu: number, values: { offset?: number; control_gfn?: bigint } = {}): number {
    return this.op(op, EVTCHNOP.init_control, evtchn_init_control, { vcpu, control_gfn: BigInt(this.guest.mfn(this.blocks[vcpu] ?? 0)), ...values }).rc;
  }
  expand(page: number): number {
    const mfn = this.guest.mfn(page);
    const rc = this.op(op, EVTCHNOP.expand_array, evtchn_expand_array, { array_gfn: BigInt(mfn) }).rc;
    if (rc === 0) this.array.push(this.fake.capsule.frame(mfn) >>> 2);
    return rc;
  }
  bindIpi(vcpu = 0): number {
    const { rc, out } = this.op(op, EVTCHNOP.bind_ipi, evtchn_bind_ipi, { vcpu });
    assert(rc === 0, 'there is a free port');
    return out.port;
  }
  send(port: number): void { assert(this.op(op, EVTCHNOP.send, evtchn_port, { port }).rc === 0, 'the port can be sent on'); }
  unmask(port: number): number { return this.op(op, EVTCHNOP.unmask, evtchn_port, { port }).rc; }
  setPriority(port: number, priority: number): number { return this.op(op, EVTCHNOP.set_priority, evtchn_set_priority, { port, priority }).rc; }
  close(port: number): number { return this.op(op, EVTCHNOP.close, evtchn_port, { port }).rc; }

  private at(port: number): number { return (this.array[port >>> 10] as number) + (port & 1023); }
  word(port: number): number { return this.fake.capsule.i32[this.at(port)] as number; }
  setWord(port: number, word: number): void { this.fake.capsule.i32[this.at(port)] = word; }
  private block(vcpu: number): number { return this.fake.capsule.frame(this.guest.mfn(this.blocks[vcpu] as number)) >>> 2; }
  ready(vcpu = 0): number { return this.fake.capsule.u32[this.block(vcpu)] as number; }
  head(priority: number, vcpu = 0): number { return this.fake.capsule.u32[this.block(vcpu) + 2 + priority] as number; }

  /** Takes one event off the queues of a vCPU, as a guest does that is interrupted in between. @returns 0: there is none */
  takeOne(vcpu = 0): number {
    const heads = this.heads[vcpu] as number[];
    const { i32 } = this.fake.capsule;
    for (let ready = this.ready(vcpu); ready !== 0; ready = this.ready(vcpu)) {
      const priority = 31 - Math.clz32(ready & -ready);
      const port = heads[priority] || this.head(priority, vcpu);
      const word = this.word(port);
      this.setWord(port, word & ~(LINKED | LINK));
      heads[priority] = word & LINK;
      if ((word & LINK) === 0) i32[this.block(vcpu)] = (i32[this.block(vcpu)] as number) & ~(1 << priority);
      if (word & PENDING && !(word & MASKED)) {
        this.setWord(port, this.word(port) & ~PENDING);
        return port;
      }
    }
    return 0;
  }
  /** Takes the upcall: all events, in the order in which a guest sees them. */
  take(vcpu = 0): number[] {
    this.fake.capsule.u8[this.vcpu(vcpu).info] = 0;
    const taken: number[] = [];
    for (let port = this.takeOne(vcpu); port !== 0; port = this.takeOne(vcpu)) taken.push(port);
    return taken;
  }
}
