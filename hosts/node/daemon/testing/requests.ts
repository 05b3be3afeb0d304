// Requests for tests.

import type { KeptRequest } from '../domain-records.ts';

export function requestOf(name: string, more: Partial<KeptRequest> = {}): KeptRequest {
  return {
    name, uuid: crypto.randomUUID(), memory: 48, vcpus: 1, weight: 256, cap: 0, cmdline: '', onPoweroff: 'destroy', onReboot: 'restart', onCrash: 'destroy', paused: false,
    ...more,
  };
}
