// Who remembers the domains of a machine beyond its end (hosts/node/daemon/kept-domains.ts). What changes is told before it
// changes: where it cannot be remembered it does not happen.

/** What can change in a domain that is remembered; the rest stays as it was made. */
export interface KeptChange {
  readonly name?: string;
  /** what it is to have: MiB */
  readonly memory?: number;
  /** of those that it has, how many it is to use */
  readonly vcpus?: number;
  readonly weight?: number;
  readonly cap?: number;
  /** lists of CPUs, by vCPU, as in xl.cfg */
  readonly cpus?: readonly string[];
  readonly paused?: boolean;
  /** false: it was asked to end and not to be started again */
  readonly wanted?: boolean;
}
export interface DomainKeeper {
  /** @throws Error, for the user, when it cannot be: nothing has changed then */
  change(uuid: string, change: KeptChange): void;
  /** It is about to be destroyed. @throws Error likewise */
  gone(uuid: string): void;
  /** It has ended by itself, and is not started again. */
  ended(uuid: string): void;
  /** It has ended by itself, and another has taken its place. */
  restarted(uuid: string): void;
  /** Another should have taken its place, and could not be made. */
  unstarted(uuid: string, name: string, error: unknown): void;
}
/** Remembers nothing. */
export const NO_KEEPER: DomainKeeper = { change: () => {}, gone: () => {}, ended: () => {}, restarted: () => {}, unstarted: () => {} };
