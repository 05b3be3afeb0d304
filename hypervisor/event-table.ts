// The table of a domain's event channel ports, in its capsule: what each port is, and what it is bound to. How an event
// reaches the guest is for the ABI that it uses (event-2l.ts, event-fifo.ts).
//
// A port number is valid below a limit that grows in steps of 64 as ports are allocated; port 0 is never given out.
//
// The table is changed on the domain's own thread, but for channels between domains: to bind or to close one changes the
// record at the far end too, wherever that domain runs. So `state`, `remote_domid` and `remote_port` of a port that waits
// for another domain, or is bound to one, change only under the lock of its table. Nobody needs a lock to read: the state
// is written last, and a port that is bound or waits keeps its remote_domid until its own domain closes it.

import { EVTCHN_2L_NR_CHANNELS } from '#abi/xen.ts';
import { EVTCHN_FIFO_PRIORITY_DEFAULT } from '#abi/event-channel.ts';
import { assert } from '#base/assert.ts';
import type { Capsule } from '#base/capsule.ts';
import { struct } from '#base/struct.ts';
import { dropLock, takeLock } from '#base/waiting-lock.ts';
import { DOMAIN_STATE } from './layout.ts';

/** What a port is, as Xen's ECS_*. */
export const ECS = { free: 0, reserved: 1, unbound: 2, interdomain: 3, pirq: 4, virq: 5, ipi: 6 } as const;

/** Ports that a domain can have: what the capsule has room for. The two-level ABI has fewer. */
export const MAX_PORTS = 8192;
const PORTS_PER_STEP = 64;

export const evtchn = struct('evtchn', 16, {
  state: 'u8', // ECS
  notify_vcpu_id: 'u8',
  priority: 'u8', // FIFO: of the queue that its next event joins
  pending: 'u8', // FIFO: an event came while the event array had no word for the port
  last_vcpu_id: 'u8', last_priority: 'u8', // FIFO: the queue that its last event joined; outlives the binding
  missed: 'u8', // interdomain: the peer's back end was not there when it was notified
  reserved: 'u8',
  remote_domid: 'u16', // unbound: who may bind; interdomain: who is bound
  virq: 'u16',
  remote_port: 'u32', // interdomain
});
export type Evtchn = ReturnType<typeof evtchn.on>;

const domain_events = struct('domain_events', 16, {
  validPorts: 'u32',
  fifo: 'u32', // 1: the guest uses the FIFO ABI
  arrayPages: 'u32', // FIFO: pages of the event array
  lock: 'i32', // base/waiting-lock.ts
});

const LOCK = (DOMAIN_STATE.events + domain_events.offset.lock) >>> 2;

export class PortTable {
  /** domain-wide state of the two ABIs */
  readonly state: ReturnType<typeof domain_events.on>;
  private readonly capsule: Capsule;
  private readonly port: Evtchn;

  constructor(capsule: Capsule) {
    this.capsule = capsule;
    this.state = domain_events.on(capsule.buffer).at(DOMAIN_STATE.events);
    this.port = evtchn.on(capsule.buffer);
  }

  /** The table of a new domain, in memory that is zero. */
  init(): void {
    this.state.validPorts = PORTS_PER_STEP;
    this.at(0).state = ECS.reserved;
  }

  /** Ports [0, this) are valid. */
  get valid(): number { return this.state.validPorts; }
  isValid(port: number): boolean { return port < this.state.validPorts; }

  /** The record of a port, on a cursor that the next call moves. */
  at(port: number): Evtchn {
    assert(port < MAX_PORTS, 'port number in range');
    return this.port.at(DOMAIN_STATE.eventChannels + port * evtchn.size) as Evtchn;
  }
  /** True for a port that is bound to something, or waits to be. */
  isUsable(port: number): boolean { return this.at(port).state > ECS.reserved; }

  /** Makes more ports valid. False when there is no room for more. */
  grow(): boolean {
    const from = this.state.validPorts;
    if (from === MAX_PORTS) return false;
    this.state.validPorts = from + PORTS_PER_STEP;
    return true;
  }

  /** A free port gets a use; who else reads the table sees it when all else is in place. @returns its record */
  claim(port: number, state: number, remoteDomid = 0, remotePort = 0): Evtchn {
    const chn = this.at(port);
    chn.priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    chn.remote_domid = remoteDomid;
    chn.remote_port = remotePort;
    chn.state = state;
    return chn;
  }
  /** Makes a port free again. */
  release(port: number): void {
    const chn = this.at(port);
    chn.state = ECS.free;
    chn.notify_vcpu_id = chn.pending = chn.missed = chn.remote_domid = chn.virq = chn.remote_port = 0;
  }

  /** Waits for the lock. Whoever holds it does a few reads and writes, and nothing that can wait. */
  lock(): void { takeLock(this.capsule.i32, LOCK); }
  unlock(): void { dropLock(this.capsule.i32, LOCK); }
}

assert(MAX_PORTS >= EVTCHN_2L_NR_CHANNELS, 'the table has room for what the two-level ABI can number');
