// The last of what the hypervisor said, as `xl dmesg` shows Xen's console ring: lines with the seconds since the start, the
// oldest dropped when there is no room.

/** characters; what Xen keeps when nothing else was configured */
const ROOM = 16 << 10;

export class LogRing {
  private readonly now: () => number;
  private readonly lines: string[] = [];
  private size = 0;

  /** @param now ms since the start */
  constructor(now: () => number) { this.now = now; }

  write(text: string): void {
    const seconds = (this.now() / 1000).toFixed(6).padStart(12);
    for (const line of text.split('\n')) this.add(`(XEN) [${seconds}] ${line.slice(0, ROOM / 2)}\n`);
  }
  read(): string { return this.lines.join(''); }
  clear(): void {
    this.lines.length = 0;
    this.size = 0;
  }
  private add(line: string): void {
    this.lines.push(line);
    this.size += line.length;
    while (this.size > ROOM) this.size -= this.lines.shift()?.length ?? 0;
  }
}
