// What the toolstack and the default guest say to each other: guest/README.md is the document followed.

import { LocalClient } from '../xenstore/local-client.ts';
import { domainPath } from '../xenstore/path.ts';
import type { Store } from '../xenstore/store.ts';

const MAX_COMMAND_BYTES = 4095, MAX_COMMAND_WORDS = 128;

/**
 * Instructions after which the default guest is at its shell, or nearly. It executes little of them ever again: without regions, which two other
 * threads would be busy with, its start takes three quarters of the time (2026-11, Node 26.10, `npm run bench:boot`). A larger guest's
 * start, which is longer, takes 1.05 to 1.1 times as long.
 */
export const STARTED = 50_000_000;

export interface GuestOptions {
  /** run this instead of a shell; handed over with `offerCommand` */
  readonly command: boolean;
  /** standard input and output are pipes: bytes pass unchanged, see PipeInput */
  readonly pipe: boolean;
  /** nothing of the kernel's but what is critical */
  readonly quiet: boolean;
  readonly hostname?: string;
  readonly terminal?: { readonly rows: number; readonly columns: number; readonly type: string | undefined };
  /** more of the kernel's command line */
  readonly append: string;
}

/**
 * The kernel's command line for the default guest. Linux would compare its time stamp counter with Xen's clock twice a second, for
 * ever: they are the same by construction, and waking for it is most of what an idle domain costs. It would also write-protect
 * its own code, a page a hypercall: a fifth of the instructions of a boot (`rodata=on` in `append` lets it).
 */
export function guestCommandLine(options: GuestOptions): string { return [...kernelWords(options), ...guestWords(options), ...appended(options)].join(' '); }

/** The same for a guest that finds in the store what is not the kernel's (`offerOptions`), and waits for it. */
export function waitingCommandLine(options: Pick<GuestOptions, 'quiet' | 'append'>): string { return [...kernelWords(options), 'xenith.options=@', ...appended(options)].join(' '); }

function kernelWords({ quiet }: Pick<GuestOptions, 'quiet'>): string[] {
  return ['console=hvc0', 'tsc=reliable', 'rodata=off', ...(quiet ? ['quiet', 'loglevel=3'] : [])]; // no errors: the kernel calls some of what is normal under Xen one
}
const appended = ({ append }: Pick<GuestOptions, 'append'>): string[] => (append === '' ? [] : [append]);

function guestWords(options: GuestOptions): string[] {
  const words: string[] = [];
  if (options.command) words.push('xenith.cmd=@');
  if (options.pipe) words.push('xenith.console=pipe');
  if (options.hostname !== undefined) words.push(`xenith.hostname=${options.hostname}`);
  if (options.terminal) {
    const { rows, columns, type } = options.terminal;
    words.push(`xenith.rows=${rows}`, `xenith.cols=${columns}`);
    if (type !== undefined && /^[\w.+-]+$/.test(type)) words.push(`TERM=${type}`);
  }
  return words;
}

/**
 * A command as the guest reads it.
 * @throws RangeError when it is too long for the way it takes
 */
export function encodeCommand(words: readonly string[]): string {
  const text = words.map(percentEncode).join(',');
  if (words.length > MAX_COMMAND_WORDS) throw new RangeError(`the command has ${words.length} words; ${MAX_COMMAND_WORDS} is the most`);
  if (text.length > MAX_COMMAND_BYTES) throw new RangeError(`the command is too long: ${text.length} bytes when encoded; ${MAX_COMMAND_BYTES} is the most`);
  return text;
}

/** Like encodeURIComponent, which throws on lone surrogates: those become U+FFFD. */
function percentEncode(word: string): string { return encodeURIComponent(word.toWellFormed()); }

/** Puts the encoded command where the guest looks for it. To be called before the domain first runs. */
export function offerCommand(store: Store, domid: number, encoded: string): void {
  new LocalClient(store).write(`${domainPath(domid)}/data/xenith/command`, encoded);
}

/**
 * Tells a guest that waits for its options what they are.
 * @param late for a copy (domain-image.ts): nanoseconds that the time of day has to go forward
 */
export function offerOptions(store: Store, domid: number, options: GuestOptions, late?: number): void {
  const words = [...(options.quiet ? ['quiet'] : []), ...guestWords(options), ...(late === undefined ? [] : [`xenith.clock=${Math.round(late / 1000)}`])];
  new LocalClient(store).write(`${domainPath(domid)}/data/xenith/options`, words.join(' '));
}

/** Calls `waits` once the guest waits for its options. @returns what ends the wait for that */
export function whenWaiting(store: Store, domid: number, waits: () => void): () => void { return whenWritten(store, domid, 'waiting', (text) => text === 'yes', waits); }

/** Calls `told` once the guest was told its options. @returns what ends the wait */
export function whenTold(store: Store, domid: number, told: () => void): () => void { return whenWritten(store, domid, 'options', () => true, told); }

/** The exit status that the guest reported, 0 to 255; undefined when it ended without one. */
export function exitStatusOf(store: Store, domid: number): number | undefined {
  const text = new LocalClient(store).read(`${domainPath(domid)}/data/xenith/exit-status`);
  return text !== undefined && /^\d{1,3}$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}

/**
 * Calls `ready` once the guest has set its console up for pipes: bytes that come earlier would be echoed and translated.
 * @returns what ends the wait
 */
export function whenConsoleReady(store: Store, domid: number, ready: () => void): () => void { return whenWritten(store, domid, 'console', (text) => text === 'ready', ready); }

function whenWritten(store: Store, domid: number, node: string, isIt: (text: string) => boolean, written: () => void): () => void {
  const client = new LocalClient(store);
  const path = `${domainPath(domid)}/data/xenith/${node}`;
  let done = false;
  return client.watch(path, () => {
    const text = done ? undefined : client.read(path);
    if (text === undefined || !isIt(text)) return;
    done = true;
    written();
  });
}
