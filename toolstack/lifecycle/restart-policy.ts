// When a domain that crashed and is to be restarted is; likewise a physical CPU that died. xl does so at once and for ever, so a
// guest that crashes while it boots keeps the machine busy with nothing else. Here a crash within a minute of the start is an
// *early* one: the first is followed by a restart at once, each that follows in a row by twice the wait, and the fifth is the
// last. A domain that ran for longer starts with a clean slate. Reboots are the guest's own wish, and are carried out.

const EARLY_MS = 60_000;
const FIRST_WAIT_MS = 1000;
export const MOST_EARLY_CRASHES = 5;

export class RestartPolicy {
  private early = 0;

  /**
   * To be called when a domain that is to be restarted has ended.
   * @param ranMs since its start, in ms
   * @returns ms to wait before it is started again; undefined: not any more
   */
  next(kind: 'poweroff' | 'reboot' | 'crash', ranMs: number): number | undefined {
    if (ranMs >= EARLY_MS) this.early = 0;
    if (kind !== 'crash' || ranMs >= EARLY_MS) return 0;
    this.early++;
    if (this.early >= MOST_EARLY_CRASHES) return undefined;
    return this.early === 1 ? 0 : FIRST_WAIT_MS * 2 ** (this.early - 2);
  }
}
