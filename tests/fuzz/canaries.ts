// Parts of a capsule that no guest and nothing done for one may ever change: what lies between the areas in use, and
// the frames with Xen's own page tables and descriptors. A write that went astray would be found here.

import { type Capsule, DOMAIN_BASE, FRAME_INFO_SIZE, FRAME_TABLE, VCPU_BASE, VCPU_STRIDE } from '#base/capsule.ts';
import type { Domain } from '#hypervisor/domain.ts';
import { DOMAIN_STATE, DOMAIN_STATE_SIZE, VCPU_STATE, VCPU_STATE_SIZE, XEN_FRAME } from '#hypervisor/layout.ts';
import { m2pFrames } from '#hypervisor/mm/m2p.ts';

interface Region { readonly from: number; readonly to: number; readonly what: string }

/** What lies between areas, and up to `end`. */
function gaps<Name extends string>(offsets: { readonly [name in Name]: number }, sizes: { readonly [name in Name]: number }, end: number): { readonly after: Name; readonly from: number; readonly to: number }[] {
  const names = (Object.keys(offsets) as Name[]).sort((a, b) => offsets[a] - offsets[b]);
  return names.map((after, i) => ({ after, from: offsets[after] + sizes[after], to: i + 1 < names.length ? offsets[names[i + 1] as Name] : end }));
}

/** Regions that hold nothing: zero from the beginning to the end. */
function empty(domain: Domain): Region[] {
  const { capsule } = domain;
  return [
    { from: 0, to: VCPU_BASE, what: 'the page of null offsets' },
    { from: VCPU_BASE + domain.vcpus.length * VCPU_STRIDE, to: DOMAIN_BASE, what: 'contexts of vCPUs that do not exist' },
    ...gaps(DOMAIN_STATE, DOMAIN_STATE_SIZE, FRAME_TABLE).map(({ after, from, to }) => ({ from, to, what: `what follows the domain state's ${after}` })),
    ...domain.vcpus.flatMap(({ id }) => gaps(VCPU_STATE, VCPU_STATE_SIZE, VCPU_STRIDE).map(({ after, from, to }) => ({ from: capsule.vcpu(id) + from, to: capsule.vcpu(id) + to, what: `what follows a vCPU's ${after}` }))),
    { from: FRAME_TABLE + capsule.totalFrames * FRAME_INFO_SIZE, to: capsule.frames, what: 'what follows the frame table' },
    { from: capsule.frame(0), to: capsule.frame(1), what: 'frame 0' },
  ];
}

/** Xen's page of the GDT and the tables that map the m2p. */
function xenTables(domain: Domain): Uint8Array {
  const { capsule, mm } = domain;
  return capsule.u8.slice(capsule.frame(XEN_FRAME.m2p), capsule.frame(m2pFrames(mm).base));
}

export class Canaries {
  private readonly domain: Domain;
  private readonly tables: Uint8Array;

  /** To be made before the guest first runs. */
  constructor(domain: Domain) {
    this.domain = domain;
    this.tables = xenTables(domain);
  }

  /** What has changed, in words. */
  check(): string[] {
    const { capsule } = this.domain;
    const wrong = empty(this.domain).filter(({ from, to }) => !isZero(capsule, from, to)).map(({ what }) => `${what}: written`);
    if (Buffer.compare(this.tables, xenTables(this.domain)) !== 0) wrong.push('Xen’s own tables: written');
    return [...wrong, ...this.m2p()];
  }

  /** The m2p says nothing of Xen's frames that are not shared, whatever the guest asks. */
  private m2p(): string[] {
    const { capsule, mm } = this.domain;
    const { base } = m2pFrames(mm);
    const wrong: string[] = [];
    for (let mfn = XEN_FRAME.grantActive; mfn < capsule.xenFrames; mfn++) {
      if (capsule.u64[(capsule.frame(base) >>> 3) + mfn] !== 0xffff_ffff_ffff_ffffn) wrong.push(`m2p entry of Xen's frame ${mfn}: written`);
    }
    return wrong;
  }
}

function isZero(capsule: Capsule, from: number, to: number): boolean {
  for (let at = from >>> 3; at < to >>> 3; at++) if (capsule.u64[at] !== 0n) return false;
  return true;
}

