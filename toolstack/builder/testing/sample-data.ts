// 20,000 bytes that have what compressors treat specially, the same on every run: repeated words, runs of zeros,
// x86 calls to a few targets, and noise.

export function sampleData(): Uint8Array {
  const out = new Uint8Array(20_000);
  let seed = 12345;
  const random = (n: number): number => { seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fff_ffff; return (seed >>> 8) % n; };
  const words = Array.from({ length: 40 }, () => Array.from({ length: 3 + random(9) }, () => 97 + random(26)));
  let at = 0;
  const put = (bytes: number[]): void => { for (const b of bytes) if (at < out.length) out[at++] = b; };
  while (at < out.length) {
    const kind = random(20);
    if (kind === 0) put(Array.from({ length: random(900) }, () => 0));
    else if (kind === 1) put(Array.from({ length: random(60) }, () => random(256)));
    else if (kind < 8) {
      const relative = 0x1000 * (1 + random(4)) - at;
      put([0x48, 0x89, 0xc7, 0xe8 + random(2), relative & 255, relative >> 8 & 255, relative >> 16 & 255, relative >> 24 & 255]);
    } else put([...(words[random(40)] as number[]), 32]);
  }
  return out;
}
