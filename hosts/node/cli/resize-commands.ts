// xl's mem-set, mem-max and vcpu-set.

import { ask, RequestError } from '../daemon/client.ts';
import type { DomainInfo, Request } from '../daemon/protocol.ts';
import { json, JSON_OPTION, type Command, type Invocation } from './command.ts';
import { wholeNumber } from './option-words.ts';

/** KiB as powers of two, by unit; a bare number is in MiB. */
const SHIFT: Readonly<Record<string, number>> = { t: 30, g: 20, m: 10, '': 10, k: 0, b: -10 };

/** A size as xl takes it, in KiB. @throws RequestError */
export function memoryKiB(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([tgmkb]?)$/i.exec(text) ?? [];
  const kib = Math.floor(Number(digits) * 2 ** (SHIFT[unit.toLowerCase()] as number));
  if (digits === '' || !Number.isSafeInteger(kib)) throw new RequestError(`invalid memory size: ${text}`);
  return kib;
}

const resize = (about: string, usage: string, request: (domain: string, word: string, flags: Invocation['flags']) => Request, options: Command['options'] = {}): Command => ({
  usage, about, words: [2, 2], options: { ...options, ...JSON_OPTION },
  async run({ state, words, flags }) {
    const [domain, word] = words as [string, string];
    const info = await ask<DomainInfo>(state, request(domain, word, flags));
    return flags['json'] === true ? json(info) : '';
  },
});

export const RESIZE_COMMANDS: Readonly<Record<string, Command>> = {
  'mem-set': resize('say how much memory a domain is to have: MiB, or with a unit: t, g, m, k, b', '[--json] DOMAIN MEM', (domain, mem) => ({ command: 'mem-set', domain, kib: memoryKiB(mem) })),
  'mem-max': resize('say how much memory a domain may take: MiB, or with a unit: t, g, m, k, b', '[--json] DOMAIN MEM', (domain, mem) => ({ command: 'mem-max', domain, kib: memoryKiB(mem) })),
  'vcpu-set': resize('say how many of its vCPUs a domain is to use; -i: more than there are physical CPUs', '[--json] [-i] DOMAIN VCPUS', (domain, count, flags) => {
    return { command: 'vcpu-set', domain, vcpus: wholeNumber('vcpu-set:', count, 0, Infinity, 'a number of vCPUs'), ignoreHost: flags['ignore-host'] === true };
  }, { 'ignore-host': { type: 'boolean', short: 'i' } }),
};
