// Names of virtual block devices and the numbers that guests know them by: xen-vbd-interface(7).

import { quote } from './config-error.ts';
import { parseInteger } from './integer.ts';
import { SpecError } from './settings-reader.ts';

const LETTERS = 26;
const MAX_DISK = 2 ** 20 - 1, MAX_PARTITION = 255;
/** numbers from here on are reserved */
const RESERVED = 2 * 2 ** 28;

/**
 * The number of a virtual device: of a name (xvda, xvdb2, sda1, hdc, d1p2), or a number as it stands.
 * @throws SpecError for what is none, and for disks and partitions that the interface has no numbers for
 */
export function virtualDeviceNumber(vdev: string): number {
  const [, diskDigits, partitionDigits = '0'] = /^d(0|[1-9]\d{0,6})(?:p(0|[1-9]\d{0,2}))?$/.exec(vdev) ?? [];
  if (diskDigits !== undefined) return xvd(vdev, Number(diskDigits), Number(partitionDigits));
  const [, type = '', letters = '', digits = '0'] = /^(xvd|sd|hd)([a-z]{1,5})([1-9]\d{0,2})?$/.exec(vdev) ?? [];
  const disk = diskOfLetters(letters), partition = Number(digits);
  if (type === 'xvd') return xvd(vdev, disk, partition);
  if (type === 'sd') return limited(vdev, disk, 15, partition, 15, 8 << 8 | disk << 4 | partition);
  if (type === 'hd') return limited(vdev, disk, 3, partition, 63, (disk < 2 ? 3 : 22) << 8 | (disk & 1) << 6 | partition);
  const number = /^\d/.test(vdev) ? parseInteger(vdev) : undefined;
  if (number === undefined || number >= RESERVED) throw new SpecError(`${quote(vdev)} is not a virtual device like xvda or xvda1`);
  return number;
}

function xvd(vdev: string, disk: number, partition: number): number {
  const small = disk < 16 && partition < 16;
  return limited(vdev, disk, MAX_DISK, partition, MAX_PARTITION, small ? 202 << 8 | disk << 4 | partition : 1 << 28 | disk << 8 | partition);
}

function limited(vdev: string, disk: number, maxDisk: number, partition: number, maxPartition: number, number: number): number {
  if (disk > maxDisk || partition > maxPartition) throw new SpecError(`${quote(vdev)}: guests have no number for this disk or partition; take an xvd device`);
  return number;
}

/** a is 0, z 25, aa 26. */
function diskOfLetters(letters: string): number {
  let n = 0;
  for (const letter of letters) n = n * LETTERS + letter.charCodeAt(0) - 0x60;
  return n - 1;
}
