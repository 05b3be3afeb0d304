// The domains of the daemon and their records (domain-records.ts), kept in step. A domain has a record from before its creation is
// acknowledged until it is destroyed or has ended for good; so what a daemon finds when it starts is what is to run.
//
// When the daemon itself ends, its domains end with it and their records stay.

import { messageOf } from '#base/error-text.ts';
import type { DomainKeeper, KeptChange } from '#toolstack/lifecycle/domain-keeper.ts';
import { DomainError, type Domains, type Log } from '#toolstack/lifecycle/domains.ts';
import type { ManagedDomain } from '#toolstack/lifecycle/managed-domain.ts';
import { checkedRequest } from './checked-request.ts';
import type { DomainRecord } from './domain-record.ts';
import type { DomainRecords } from './domain-records.ts';
import { specOf } from './domain-spec.ts';
import type { CreateRequest } from './protocol.ts';

export class KeptDomains implements DomainKeeper {
  private readonly domains: Domains;
  private readonly records: DomainRecords;
  private readonly log: Log;
  /** names, and their uuids, of those that are to run and could not be started: their records wait for the daemon's next start */
  private readonly unstartedDomains = new Map<string, string>();

  constructor(domains: Domains, records: DomainRecords, log: Log) {
    this.domains = domains;
    this.records = records;
    this.log = log;
    domains.keeper = this;
  }

  /** Creates a domain that is remembered: it runs when it is. @throws DomainError, BuilderError, DaemonError */
  async create(request: CreateRequest): Promise<ManagedDomain> {
    const { uuid = crypto.randomUUID() } = request;
    this.requireNoRecord(request.name, uuid);
    const domain = await this.domains.make(specOf({ ...request, uuid }), request.paused);
    try {
      this.records.put({ ...request, uuid });
    } catch (error) {
      await this.domains.discard(domain);
      throw error;
    }
    await this.domains.begin(domain);
    return domain;
  }
  /** Destroys a domain, or forgets one that could not be started. @throws DomainError, DaemonError */
  async destroy(which: string): Promise<void> {
    const uuid = this.unstartedDomains.get(which);
    if (uuid === undefined) return this.domains.destroy(await this.domains.find(which));
    this.records.delete(uuid);
    this.unstartedDomains.delete(which);
  }
  /** Starts what ran when the last daemon ended, however it did. */
  async restore(): Promise<void> {
    const records = this.records.list();
    if (records.length > 0) this.log(`domains of the last daemon: ${records.map((r) => r.name).join(', ')}`);
    for (const { name, uuid } of records.filter((r) => !r.wanted)) {
      this.log(`domain ${name}: had been asked to power off; it is not started again`);
      this.ended(uuid);
    }
    await Promise.all(records.filter((r) => r.wanted).map((record) => this.start(record))); // numbers are given in this order
  }
  /** Takes up the records that were found in a damaged database. */
  takeOver(rows: readonly DomainRecord[]): void {
    for (const { name, uuid, request, wanted } of rows) {
      try {
        this.records.put({ ...checkedRequest(request), uuid });
        if (!wanted) this.records.change(uuid, { wanted });
      } catch (error) {
        this.log(`domain ${name}: what is left of its record is of no use: ${messageOf(error)}`, 'error');
      }
    }
  }

  change(uuid: string, change: KeptChange): void {
    if (change.name !== undefined) this.requireNoRecord(change.name, uuid);
    this.records.change(uuid, change);
  }
  gone(uuid: string): void { this.records.delete(uuid); }
  ended(uuid: string): void {
    if (this.domains.isEnding) return;
    this.report(uuid, this.records.deleteInTime(uuid));
  }
  restarted(uuid: string): void {
    try {
      this.records.change(uuid, { wanted: true });
    } catch (error) {
      this.report(uuid, error);
    }
  }
  unstarted(uuid: string, name: string, error: unknown): void {
    this.unstartedDomains.set(name, uuid);
    if (this.domains.isEnding) return; // which is why
    this.log(`domain ${name}: cannot be started: ${messageOf(error)}. It is tried again when the daemon is started anew; xenith destroy ${name} forgets it`, 'error');
  }

  private async start({ uuid, name, request }: DomainRecord): Promise<void> {
    try {
      const checked = { ...checkedRequest(request), uuid };
      await this.domains.create(specOf(checked), checked.paused);
    } catch (error) {
      this.unstarted(uuid, name, error);
    }
  }
  private requireNoRecord(name: string, uuid: string): void {
    for (const [other, itsUuid] of this.unstartedDomains) {
      if (other === name || itsUuid === uuid) throw new DomainError(`${name}: there is a domain of that name or uuid, which could not be started; xenith destroy ${other} forgets it`);
    }
  }
  private report(uuid: string, error: unknown): void {
    if (error !== undefined) this.log(`domain with uuid ${uuid}: ${messageOf(error)}. Until then a daemon that is killed would not remember how it stands`, 'error');
  }
}

