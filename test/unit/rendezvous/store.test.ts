import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { Logins } from '../../../src/rendezvous/logins.ts';
import { Rates } from '../../../src/rendezvous/rates.ts';
import { openStore } from '../../../src/rendezvous/sqlite-store.ts';
import { MemoryStore, type Registration, type Store } from '../../../src/rendezvous/store.ts';
import { Tickets } from '../../../src/rendezvous/tickets.ts';
import { temporaryFolder } from '../../support/unit-folder.ts';

const registration: Registration = {
  tenant: 'acme',
  environment: "e'; DROP TABLE registration; --",
  subject: 'ex',
  name: 'Ünïcode',
  version: '1',
  transport: 'relay_v1',
  registrationId: 'reg-1',
  executorId: 'executor-1',
  idempotencyId: 'i',
  since: 1,
  lastSeen: 2,
};

describe.each(['memory', 'file'])('a store in %s', (kind) => {
  async function withStore(work: (store: Store) => void): Promise<void> {
    await using folder = await temporaryFolder();
    using store = kind === 'memory' ? new MemoryStore() : await openStore(join(folder.path, 'data.db'));
    work(store);
  }

  test('knows a used ticket until it has expired', async () => {
    await withStore((store) => {
      const later = Date.now() + 60_000;
      expect(store.useTicket('a', later, 2)).toBe(true);
      expect(store.useTicket('a', later, 2)).toBe(false);
      expect(store.useTicket('past', Date.now() - 1, 2)).toBe(true);
      // Full, but for the one that has expired.
      expect(store.useTicket('b', later, 2)).toBe(true);
      expect(store.useTicket('c', later, 2)).toBe(false);
      expect(store.useTicket('a', later, 2)).toBe(false);
    });
  });
});

test('a file keeps key, registrations and used tickets', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'data.db');
  let key: Buffer;
  {
    using store = await openStore(path);
    ({ key } = store);
    store.save(registration);
    store.save({ ...registration, tenant: 'globex' });
    store.save({ ...registration, name: 'changed' });
    store.remove('globex', registration.environment);
    store.useTicket('a', Date.now() + 60_000, 10);
  }
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  using store = await openStore(path);
  expect(store.key.equals(key)).toBe(true);
  expect(store.key).toHaveLength(32);
  expect(store.registrations()).toMatchObject([{ ...registration, name: 'changed' }]);
  expect(store.useTicket('a', Date.now() + 60_000, 10)).toBe(false);
});

describe('tickets', () => {
  const claims = {
    tenant: 'acme',
    environment: 'e',
    role: 'orchestrator',
    subject: 's',
    registration: '',
    reusable: false,
    expiresAt: 2000,
  } as const;
  const tickets = new Tickets(Buffer.alloc(32, 1));

  test('say what they were issued for, until their end', () => {
    const ticket = tickets.issue(claims);
    expect(tickets.check(ticket, 1999)).toMatchObject(claims);
    expect(tickets.check(ticket, 2000)).toBe('invalid_expiry');
    expect(tickets.issue(claims)).not.toBe(ticket);
  });

  test('are void when any character of them is another one', () => {
    const ticket = tickets.issue(claims);
    for (let at = 0; at < ticket.length; at += 1) {
      const other = ticket[at] === 'A' ? 'B' : 'A';
      const changed = ticket.slice(0, at) + other + ticket.slice(at + 1);
      expect(tickets.check(changed, 0), `character ${at}`).toBe('invalid_signature');
    }
    for (const text of ['x', '.', '..', 'v1..', ticket.slice(1), `${ticket}A`, 'x'.repeat(100_000)])
      expect(tickets.check(text, 0)).toBe('invalid_signature');
    expect(tickets.check('', 0)).toBe('missing_signature');
  });

  test('of another key are void', () => {
    expect(new Tickets(Buffer.alloc(32, 2)).check(tickets.issue(claims), 0)).toBe('invalid_signature');
  });
});

describe('rates', () => {
  test('allow a burst, then so many a second', () => {
    const rates = new Rates(10);
    const take = (now: number): boolean => rates.take('k', 3, 2, now);
    expect([take(0), take(0), take(0), take(0)]).toStrictEqual([true, true, true, false]);
    expect([take(400), take(500), take(500)]).toStrictEqual([false, true, false]);
    expect([take(100_000), take(100_000), take(100_000), take(100_000)]).toStrictEqual([
      true,
      true,
      true,
      false,
    ]);
    expect(rates.take('other', 1, 1, 0)).toBe(true);
  });

  test('remember so many', () => {
    const rates = new Rates(2);
    for (const key of ['a', 'b', 'c']) expect(rates.take(key, 1, 0, 0)).toBe(true);
    expect(rates.take('c', 1, 0, 0)).toBe(false);
    expect(rates.take('a', 1, 0, 0)).toBe(true);
  });
});

test('logins end, and the oldest one first', () => {
  const logins = new Logins(2, 1000);
  const principal = { tenant: 't', subject: 's', scopes: [], expiresAt: undefined };
  const [one, two] = [logins.add(principal, 0), logins.add({ ...principal, expiresAt: 500 }, 0)];
  expect([
    logins.find(one, 999),
    logins.find(one, 1000),
    logins.find(two, 499),
    logins.find(two, 500),
  ]).toStrictEqual([principal, undefined, { ...principal, expiresAt: 500 }, undefined]);
  const three = logins.add(principal, 0);
  expect([logins.find(one, 1), logins.find(three, 1)]).toStrictEqual([undefined, principal]);
  logins.remove(three);
  expect(logins.find(three, 1)).toBeUndefined();
  expect(logins.find('', 1)).toBeUndefined();
});
