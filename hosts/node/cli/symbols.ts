// A kernel's symbols, from a System.map or from its /proc/kallsyms: lines of address, type and name.

import { readFileSync } from 'node:fs';
import { hex64 } from '#hypervisor/words.ts';
import { reasonOf } from '../input-file.ts';
import { UsageError } from './usage-error.ts';

export class Symbols {
  private readonly addresses: bigint[] = [];
  private readonly names: string[] = [];

  /** @param text the file's content; '' for no symbols */
  constructor(text: string) {
    const lines = text.split('\n').flatMap((line) => {
      const m = /^([0-9a-f]{16}) [tTwW] (\S+)/.exec(line);
      return m ? [{ address: BigInt(`0x${m[1]}`), name: m[2] as string }] : [];
    });
    lines.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    for (const { address, name } of lines) {
      this.addresses.push(address);
      this.names.push(name);
    }
  }
  /** @throws UsageError */
  static read(file: string): Symbols {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      throw new UsageError(`--system-map ${file}: ${reasonOf(error)}`);
    }
    const symbols = new Symbols(text);
    if (symbols.addresses.length === 0) throw new UsageError(`--system-map ${file}: no symbols of code in it; a guest's own are in its /proc/kallsyms`);
    return symbols;
  }

  /** The function that an address is in; without symbols its page. */
  nameOf(address: bigint): string {
    let [low, high] = [0, this.addresses.length];
    while (low < high) {
      const middle = low + high >>> 1;
      if ((this.addresses[middle] as bigint) <= address) low = middle + 1;
      else high = middle;
    }
    return this.names[low - 1] ?? `page ${hex64(address & ~4095n)}`;
  }
}
