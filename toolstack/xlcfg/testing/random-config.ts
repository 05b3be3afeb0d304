// Random configurations for the fuzzers: pieces of the language in any order, and good files with something broken.

/** Numbers below n, the same for the same seed. */
export function generator(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const PIECES = [
  'a', 'b', 'c', 'name', 'disk', 'memory', 'vif', 'cpus', '=', '=', '+=', '[', ']', '[', ']', ',', ',', ';', '\n', '\n', ' ', '\t', '#', '# x\n', '"x"', "'y'", '"', "'",
  '\\', '\\n', '\\x41', '\\012', '\\\'', '0', '12', '0x1f', '019', '5g', 'A', '-', '+', '.', '(', '\r', '\0', '\v', 'é', '\ud800', '🐼', 'True',
];

const GOOD = [
  'a = 1\nb = "x" ; c = [ 1, \'2\', [ "3", ], ]\n',
  'name="g"\nkernel=\'/k\'\nmemory=256 # MiB\nvcpus=2\ncpus="0-3,^1"\ndisk=[ \'phy:/dev/vg/g,xvda,w\',\n  "format=qcow2, vdev=xvdb, target=/a,b" ]\n',
  'name="g"\nkernel="/k"\nextra="quiet"\nextra+=" ro"\nvif=[ "mac=00:16:3e:00:00:01,bridge=br0,rate=10Mb/s@20ms", \'\' ]\nvif+=[ "mtu=9000" ]\n',
  'name="g"\nkernel="/k"\nroot="/dev/xvda1 ro"\non_crash="restart"\nuuid="12345678-1234-1234-1234-123456789abc"\ncpu_weight=512\ncap=0x10\ncpus=["all","2"]\nmaxvcpus=4\n',
];

/** A configuration, more often than not a wrong one. */
export function randomConfig(random: (n: number) => number): string {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const pieces = (n: number): string => Array.from({ length: n }, () => pick(PIECES)).join('');
  const kind = random(4);
  if (kind === 0) return pieces(1 + random(20));
  if (kind === 1) return Array.from({ length: 1 + random(4) }, () => `${pick(['a', 'b', 'c'])} ${pick(['=', '+='])} ${randomValue(random, 0)}${pick(['\n', ';', ' # c\n'])}`).join('');
  let text = pick(GOOD);
  for (let i = random(3); i >= 0; i--) {
    const at = random(text.length), end = at + random(3);
    text = text.slice(0, at) + pieces(random(3)) + text.slice(end);
  }
  return text;
}

function randomValue(random: (n: number) => number, depth: number): string {
  const kind = random(depth < 4 ? 5 : 3);
  if (kind === 0) return String(random(1000));
  if (kind === 1) return `"${['', 'x', '\\n\\t', '\\"', "'", 'é', '\\0'][random(7)]}"`;
  if (kind === 2) return `'${['', 'y', '\\\\', '\\a\\v', '"', '#'][random(6)]}'`;
  return `[${Array.from({ length: random(4) }, () => `${['', ' ', '\n', '#\n'][random(4)]}${randomValue(random, depth + 1)}`).join(',')}${['', ',', '\n', ',\n'][random(4)]}]`;
}

const DISK_PIECES = [
  '/a', 'x', '', ',', ',', ',', ',', ',', ' ', '\t', 'raw', 'qcow2', 'empty', 'xvda', 'xvda', 'hdc', 'xvdb:cdrom', 'hdc:disk', 'w', 'r', 'rw', 'ro', 'cdrom', 'target=', 'vdev=', 'format=', 'access=',
  'devtype=', 'phy:', 'tap:', 'aio:', 'qcow2:', 'file:', 'foo:', 'discard', 'no-discard', 'direct-io-safe', 'backendtype=', 'phy', 'qdisk', '=', ':', ',raw,', ',xvda,', '/x,raw,xvda,',
];
const RATE_PIECES = ['1', '0', '9', '08', '4294967295', '12', 'G', 'M', 'K', 'B', 'b', '/s', '@', 'ms', 'us', 's', 'm', 'u', 'B/s', 'Mb/s', 'KB/s@', '10', 'MB/s@20ms'];

/** A disk's specification, and the rate of an interface; more often than not wrong ones. */
export function randomDisk(random: (n: number) => number): string { return joined(random, DISK_PIECES, 8); }
export function randomRate(random: (n: number) => number): string { return joined(random, RATE_PIECES, 6); }

function joined(random: (n: number) => number, pieces: readonly string[], most: number): string {
  return Array.from({ length: 1 + random(most) }, () => pieces[random(pieces.length)]).join('');
}
