// node v86-guest.ts BIOS KERNEL INITRD MEBIBYTES COMMAND-LINE
//
// Boots a kernel in v86 with its serial line on standard output, and ends when the guest halts. The package comes without a
// BIOS; a kernel and an initramfs given to it directly are loaded by SeaBIOS.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The part of v86's interface that is used here: the package with its types need not be there when this is checked. */
interface V86 {
  new(options: Readonly<Record<string, unknown>>): { add_listener(event: string, listener: (value: number) => void): void };
}

const [bios, kernel, initrd, mebibytes, cmdline] = process.argv.slice(2) as [string, string, string, string, string];
const image = (path: string): { buffer: ArrayBuffer } => ({ buffer: new Uint8Array(readFileSync(path)).buffer });
const url = import.meta.resolve('v86');
const { V86 } = await import(url) as { V86: V86 };
const machine = new V86({
  wasm_path: fileURLToPath(new URL('v86.wasm', url)), memory_size: Number(mebibytes) * 2 ** 20, autostart: true,
  bios: image(bios), bzimage: image(kernel), initrd: image(initrd), cmdline,
});
machine.add_listener('serial0-output-byte', (byte) => { process.stdout.write(Uint8Array.of(byte)); });
machine.add_listener('cpu-event-halt', () => process.exit());
