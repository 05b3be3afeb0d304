// A request to create a domain that came from outside: over the socket, or out of the state database. Only what a request
// has is taken, and only if it is of the right kind; what values mean is checked where they are used.

import { UUID } from '#base/uuid.ts';
import { DomainError } from '#toolstack/lifecycle/domains.ts';
import { EVENT_ACTIONS, type EventAction } from '#toolstack/lifecycle/managed-domain.ts';
import type { CreateRequest } from './protocol.ts';

type Check = (value: unknown) => boolean;
const text: Check = (v) => typeof v === 'string';
const optionalText: Check = (v) => v === undefined || typeof v === 'string';
const number: Check = Number.isSafeInteger;
/** MiB, in pages */
const size: Check = (v) => typeof v === 'number' && Number.isSafeInteger(v * 256);
const action: Check = (v) => EVENT_ACTIONS.includes(v as EventAction);
const uuid: Check = (v) => v === undefined || (typeof v === 'string' && UUID.test(v));

const FIELDS: Readonly<Record<keyof CreateRequest, Check>> = {
  name: text, uuid, memory: size, maxmem: (v) => v === undefined || size(v), vcpus: number, maxvcpus: (v) => v === undefined || number(v), weight: number, cap: number, kernel: optionalText, ramdisk: optionalText, cmdline: text,
  cpus: (v) => v === undefined || (Array.isArray(v) && v.every(text)), onPoweroff: action, onReboot: action, onCrash: action, paused: (v) => typeof v === 'boolean',
};

/** @throws DomainError */
export function checkedRequest(value: unknown): CreateRequest {
  if (typeof value !== 'object' || value === null) throw new DomainError('a description of a domain is missing');
  const fields: Record<string, unknown> = {};
  for (const [key, isGood] of Object.entries(FIELDS)) {
    const field = (value as Record<string, unknown>)[key];
    if (!isGood(field)) throw new DomainError(`${key} = ${JSON.stringify(field)}: not what a domain's ${key} can be`);
    if (field !== undefined) fields[key] = field;
  }
  return fields as unknown as CreateRequest;
}
