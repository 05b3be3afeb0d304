// The default guest as it was when it had started and waited for its options (guest/README.md): kept from the first run on, so that others
// need not boot it.

import type { Host } from '#base/host.ts';
import type { CreatedDomain } from '#toolstack/lifecycle/create-domain.ts';
import { whenWaiting } from '#toolstack/lifecycle/default-guest.ts';
import { restoreDomain, saveDomain } from '#toolstack/lifecycle/domain-image.ts';
import type { Store } from '#toolstack/xenstore/store.ts';
import { keepImage, withImage } from '../kept-images.ts';

type Request = Parameters<typeof restoreDomain>[2];

export class StartedGuest {
  private readonly name: string;
  private readonly store: Store;
  private waits = false;
  private keepIt: (() => void) | undefined;
  /** resolves when what was to be kept is */
  kept: Promise<void> = Promise.resolve();

  /** @param name under which it is kept */
  constructor(name: string, store: Store) {
    this.name = name;
    this.store = store;
  }

  /** Undefined when there is none yet. */
  restore(request: Request, host: Host, output: (bytes: Uint8Array) => void): ReturnType<typeof restoreDomain> | undefined {
    return withImage(this.name, (head, read) => restoreDomain(head, read, request, host, this.store, output));
  }

  /**
   * Keeps a guest that boots, once it waits.
   * @param goOn to be called then, so that it goes on
   */
  keep(created: CreatedDomain, memory: number, goOn: () => void): void {
    whenWaiting(this.store, created.domain.domid, () => { this.waits = true; });
    this.keepIt = () => {
      this.keepIt = undefined;
      const image = saveDomain(created, memory, this.store);
      if (image) this.kept = keepImage(this.name, image);
      goOn();
    };
  }

  /** To be called when no vCPU can run. */
  onIdle(): void { if (this.waits) this.keepIt?.(); }
}
