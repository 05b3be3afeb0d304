// UUIDs, as the tools write them: lower case with dashes.

export const UUID: RegExp = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The 16 bytes of one. */
export function uuidBytes(uuid: string): Uint8Array { return Uint8Array.from(uuid.replaceAll('-', '').match(/../g) ?? [], (byte) => parseInt(byte, 16)); }

/** The one that 16 bytes are. */
export function uuidOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** One of random bytes, 16 of them (RFC 9562, version 4). */
export function randomUuid(bytes: Uint8Array): string { return uuidOf(bytes.with(6, (bytes[6] as number) & 0x0f | 0x40).with(8, (bytes[8] as number) & 0x3f | 0x80)); }
