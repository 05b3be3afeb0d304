// Makes an initramfs archive: Linux, Documentation/driver-api/early-userspace/buffer-format.rst, "newc".

export interface CpioEntry {
  readonly name: string;
  /** type and permission bits, as in stat(2) */
  readonly mode: number;
  readonly content?: Uint8Array;
  /** major and minor number of a device node */
  readonly device?: readonly [number, number];
}

export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  return Buffer.concat([...entries, { name: 'TRAILER!!!', mode: 0 }].flatMap((entry, i) => encode(entry, i + 1)));
}

function encode({ name, mode, content = new Uint8Array(0), device = [0, 0] }: CpioEntry, inode: number): Uint8Array[] {
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, name.length + 1, 0];
  const header = `070701${fields.map((n) => n.toString(16).padStart(8, '0')).join('')}${name}\0`;
  return [padded(Buffer.from(header)), padded(content)];
}

function padded(bytes: Uint8Array): Uint8Array { return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]); }
