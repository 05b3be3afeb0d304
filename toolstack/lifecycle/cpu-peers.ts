// The domains of the machine as one physical CPU knows them, for those that run here to reach the others (domain-registry.ts).
//
// Domain-0 announces every domain to every CPU before it runs for the first time, and that it is gone when nobody has anything
// of it any more. Where a domain runs is not noted: one that is on this CPU is the Domain, any other one is its memory, and
// events for it go by Domain-0, which knows. So nothing changes here when a domain is moved.

import { assert } from '#base/assert.ts';
import { Capsule, type CapsuleShape } from '#base/capsule.ts';
import type { Peer, Peers } from '#hypervisor/domain-registry.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { deliver } from '#hypervisor/event-peer.ts';
import { PortTable } from '#hypervisor/event-table.ts';
import { Mm } from '#hypervisor/mm/mm.ts';
import { distantMachine } from '#machine/distant-machine.ts';
import type { PhysicalCpu } from './physical-cpu.ts';

/** What other CPUs are told of a domain. */
export interface Announcement {
  readonly domid: number;
  readonly capsule: CapsuleShape;
  readonly vcpus: number;
}

export class CpuPeers implements Peers {
  private readonly cpu: PhysicalCpu;
  private readonly known = new Map<number, Announcement>();
  /** those that were looked at from here */
  private readonly distant = new Map<number, Peer>();

  constructor(cpu: PhysicalCpu) { this.cpu = cpu; }

  /** Notes a domain that was made. */
  announce(announcement: Announcement): void {
    assert(!this.known.has(announcement.domid), 'a domain number is given once at a time');
    this.known.set(announcement.domid, announcement);
  }
  announcement(domid: number): Announcement | undefined { return this.known.get(domid); }

  /** A domain that was made on this CPU. */
  add(domain: Domain): void { this.announce({ domid: domain.domid, capsule: domain.capsule.shape, vcpus: domain.vcpus.length }); }
  /** Lets a domain that is on this CPU, new or moved, reach the others and be reached. */
  enter(domain: Domain): void {
    domain.mm.peers = this;
    domain.notify = (port, from) => {
      const placed = this.cpu.get(domain.domid);
      if (!placed) return; // it has just ended
      this.cpu.disturb(placed, () => deliver(domain, port, from));
    };
  }
  /** Nobody has anything of a destroyed domain any more: all CPUs are to forget it. */
  remove(domid: number): void {
    this.forget(domid);
    this.cpu.tellGone(domid);
  }
  forget(domid: number): void {
    this.known.delete(domid);
    this.distant.delete(domid);
  }

  get(domid: number): Peer | undefined { return this.cpu.get(domid)?.domain ?? this.distant.get(domid) ?? this.reach(domid); }
  all(): Peer[] { return [...this.known.keys()].flatMap((domid) => this.get(domid) ?? []); }

  private reach(domid: number): Peer | undefined {
    const announcement = this.known.get(domid);
    if (!announcement) return undefined;
    const capsule = Capsule.attach(announcement.capsule);
    const mm = new Mm(capsule, distantMachine(capsule));
    mm.peers = this;
    const peer: Peer = { domid, capsule, mm, events: new PortTable(capsule), notify: (port, from) => this.cpu.tellPeer(domid, port, from) };
    this.distant.set(domid, peer);
    return peer;
  }
}
