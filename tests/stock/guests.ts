// The stock guests that fetch.sh has fetched.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { cpioArchive } from './cpio.ts';

const ROOT = fileURLToPath(new URL('../../.build/stock/', import.meta.url));
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo "user space of $(/bin/busybox uname -r)"
exec /bin/busybox sh
`;

/** Says why the stock guests are not there; undefined when they are. */
export function missingGuests(): string | undefined {
  return existsSync(`${ROOT}bin/busybox`) ? undefined : 'the stock guests are missing: run tests/stock/fetch.sh (on Debian 12)';
}

/** Path of Debian's kernel. */
export function debianKernel(flavour: 'cloud-amd64' | 'amd64'): string {
  const name = readdirSync(`${ROOT}boot`).find((file) => (/-(cloud-)?amd64$/.exec(file)?.[0]) === `-${flavour}`);
  if (name === undefined) throw new Error(`no kernel ${flavour} in ${ROOT}boot`);
  return `${ROOT}boot/${name}`;
}

/** Path of GRUB's PV build. */
export const grub = `${ROOT}usr/lib/grub-xen/grub-x86_64-xen.bin`;

/** An initramfs of Debian's busybox. @param init a script; else it mounts /proc, prints "user space of VERSION" and starts a shell */
export function busyboxInitramfs(init = INIT): Uint8Array {
  return cpioArchive([
    { name: 'bin', mode: 0o040755 },
    { name: 'dev', mode: 0o040755 },
    { name: 'proc', mode: 0o040755 },
    { name: 'dev/console', mode: 0o020600, device: [5, 1] },
    { name: 'bin/busybox', mode: 0o100755, content: readFileSync(`${ROOT}bin/busybox`) },
    { name: 'init', mode: 0o100755, content: Buffer.from(init) },
  ]);
}
