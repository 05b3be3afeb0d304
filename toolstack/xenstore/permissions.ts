// Permissions of a node (docs/misc/xenstore.txt, "Permissions"): a list whose first entry names the owner and what
// everybody else may do; further entries give single domains other rights. The owner may do everything, and so may a
// privileged client (domain 0). A domain that has a target (SET_TARGET) has the target's rights beside its own.

export interface Permission { readonly domid: number; readonly read: boolean; readonly write: boolean }
export type Permissions = readonly [Permission, ...Permission[]];

/** Who asks. */
export interface Requester {
  readonly domid: number;
  readonly privileged: boolean;
  /** the domain that it acts for: a device model's guest */
  target?: number | undefined;
}

export type Right = 'read' | 'write' | 'owner';

/** Domain 0 is the privileged one. */
export const requester = (domid: number): Requester => ({ domid, privileged: domid === 0 });

const LETTER = { n: [false, false], r: [true, false], w: [false, true], b: [true, true] } as const;

/** "r5": the letter says what, the number who. Undefined when it is not of this form. */
function parsePermission(text: string): Permission | undefined {
  const [, letter, id] = /^([nrwb])(\d{1,5})$/.exec(text) ?? [];
  if (letter === undefined || Number(id) > 0xffff) return undefined;
  const [read, write] = LETTER[letter as keyof typeof LETTER];
  return { domid: Number(id), read, write };
}

export function formatPermission({ domid, read, write }: Permission): string {
  return `${read ? (write ? 'b' : 'r') : write ? 'w' : 'n'}${domid}`;
}

export function parsePermissions(texts: readonly string[]): Permissions | undefined {
  const list = texts.map(parsePermission);
  return list.length > 0 && list.every((p) => p !== undefined) ? (list as unknown as Permissions) : undefined;
}

export function permits(perms: Permissions, who: Requester, right: Right): boolean {
  const [owner, ...others] = perms;
  const isWho = ({ domid }: Permission): boolean => domid === who.domid || domid === who.target;
  if (who.privileged || isWho(owner)) return true;
  if (right === 'owner') return false;
  return (others.find(isWho) ?? owner)[right];
}
