// The end of a domain that does not run any more, as far as others are concerned: its channels are closed, and what it holds
// of other domains is given up. What others hold of it stays: its memory and its number are there until they let go
// (domain-registry.ts).

import { assert } from '#base/assert.ts';
import type { Domain } from './domain.ts';
import { destroyEventChannels } from './event-channel.ts';
import { releaseMappings } from './grant-map.ts';
import { holdDomain, releaseDomain } from './mm/foreign-frames.ts';

/** To be called once. The domain's own tables keep what they hold of its own frames: its memory goes as a whole. */
export function destroyDomain(domain: Domain): void {
  const held = holdDomain(domain);
  assert(held, 'a domain is destroyed once');
  domain.mm.state.dying = 1;
  destroyEventChannels(domain);
  releaseMappings(domain);
  domain.mm.foreign.dropAll();
  releaseDomain(domain);
}
