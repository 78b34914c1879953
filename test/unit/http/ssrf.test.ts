import { randomUUID } from 'node:crypto';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Resolve } from '../../../src/http/dial.ts';
import type { EgressOptions } from '../../../src/http/egress.ts';
import { HttpRequests } from '../../../src/http/http-requests.ts';
import { requests } from '../../../src/protocol/methods.ts';
import { NameServer } from '../../support/http-dns.ts';
import { Origin } from '../../support/http-origin.ts';

let origin: Origin;

beforeEach(async () => {
  origin = await Origin.start();
});

afterEach(async () => origin[Symbol.asyncDispose]());

interface Setting {
  readonly egress?: EgressOptions;
  readonly resolve?: Resolve;
}

/** The body, or the text of the failure. */
async function ask(url: string, setting: Setting, more: object = {}): Promise<string> {
  const made = new HttpRequests({ env: {}, ...setting });
  const params = requests['http/request'].params.parse({
    requestId: randomUUID(),
    method: 'GET',
    url,
    ...more,
  });
  try {
    const answer = await made.prepare(params).start(AbortSignal.timeout(15_000));
    const blocks: Buffer[] = [];
    for await (const block of answer.body) blocks.push(block);
    return Buffer.concat(blocks).toString();
  } catch (error) {
    return `failed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

const refusal = /^failed: http\/request failed: the egress policy of this executor does not permit /;

/** Spellings of 127.0.0.1 in a URL that lead to a server there. */
const loopback = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '2130706433',
  '017700000001',
  '0x7f000001',
  '0x7f.0.0.1',
  '0177.0.0.1',
  '0177.0x0.0.1',
  '0X7F.1',
  '127.0.0.1.',
  '%31%32%37.0.0.1',
  '１２７.0.0.1',
  '①②⑦.⓪.⓪.①',
  '127。0。0。1',
  '0.0.0.0',
  '0',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[0:0:0:0:0:ffff:7f00:0001]',
  'localhost',
  'LOCALHOST',
  'user:pass@127.0.0.1',
] as const;

/** Loopback, link-local, metadata and private addresses where nobody need listen. */
const others = [
  '127.255.255.254',
  '[::1]',
  '[0000::0001]',
  '[::]',
  '[::127.0.0.1]',
  '[::ffff:0:127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[64:ff9b:1::127.0.0.1]',
  '[2002:7f00:1::]',
  '[2001:0:7f00:1::]',
  '[2001::80ff:fffe]',
  '[fe80::5efe:127.0.0.1]',
  '[2001:db8::200:5efe:10.0.0.1]',
  '169.254.169.254',
  '2852039166',
  '0xa9fea9fe',
  '0251.0376.0251.0376',
  '169.254.43518',
  '[::ffff:169.254.169.254]',
  '[64:ff9b::a9fe:a9fe]',
  '[2002:a9fe:a9fe::1]',
  '[fe80::1]',
  '[febf::1]',
  '[fd00:ec2::254]',
  '100.100.100.200',
  '168.63.129.16',
  '10.0.0.1',
  '0xa.1',
  '012.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '192.168.257',
  '3232235521',
  '100.64.0.1',
  '[fc00::1]',
  '[fdff::1]',
  '[::ffff:10.0.0.1]',
  '[::ffff:c0a8:1]',
] as const;

const closed: EgressOptions = { deny: ['loopback', 'private'] };

describe('addresses that are denied', () => {
  it('are at least forty', () => {
    expect(loopback.length + others.length).toBeGreaterThanOrEqual(40);
  });

  it.each(loopback)('%s leads to the server without a rule, and nowhere with one', async (host) => {
    const url = `http://${host}:${origin.port}/plain`;
    expect(await ask(url, {})).toBe('content');
    expect(origin.seen.length).toBe(1);
    expect(await ask(url, { egress: closed })).toMatch(refusal);
    expect(origin.seen.length).toBe(1);
  });

  it.each(others)('%s leads nowhere', async (host) => {
    expect(await ask(`http://${host}:${origin.port}/plain`, { egress: closed })).toMatch(refusal);
    expect(origin.seen).toEqual([]);
  });

  it.each(['169.254.169.254', '[fe80::1]', '[fd00:ec2::254]', '100.100.100.200', '[::ffff:a9fe:a9fe]'])(
    '%s is denied without any rule, and with a rule that allows everything',
    async (host) => {
      expect(await ask(`http://${host}/`, {})).toMatch(refusal);
      expect(await ask(`http://${host}/`, { egress: { allow: ['any', '0.0.0.0/0', '[::/0]'] } })).toMatch(
        refusal,
      );
    },
  );

  it('are denied behind a name', async () => {
    await using names = await NameServer.start([['127.0.0.1'], ['10.0.0.1', '169.254.169.254']]);
    const setting = { egress: closed, resolve: names.resolve };
    for (let count = 0; count < 2; count++) {
      expect(await ask(`http://public.test:${origin.port}/plain`, setting)).toMatch(refusal);
    }
    expect(names.questions).toBe(2);
    expect(origin.seen).toEqual([]);
  });

  it('are denied behind a redirect', async () => {
    await using front = await Origin.start({ host: '127.0.0.2' });
    const egress = { deny: ['127.0.0.1'] };
    for (const host of ['127.0.0.1', '[::ffff:127.0.0.1]', '2130706433', 'localhost']) {
      const target = encodeURIComponent(`http://${host}:${origin.port}/plain`);
      const got = await ask(`http://127.0.0.2:${front.port}/redirect/302/${target}`, {
        egress: { deny: [...egress.deny, '::1'] },
      });
      expect(got).toMatch(refusal);
    }
    expect(front.seen.length).toBe(4);
    expect(origin.seen).toEqual([]);
  });
});

describe('a resolver that changes its mind', () => {
  const egress = { deny: ['127.0.0.1'] };

  it('is asked once for a request, and what was checked is dialled', async () => {
    await using front = await Origin.start({ host: '127.0.0.2' });
    await using names = await NameServer.start([['127.0.0.2'], ['127.0.0.1']]);
    const setting = { egress, resolve: names.resolve };
    expect(await ask(`http://rebind.test:${front.port}/plain`, setting)).toBe('content');
    expect(names.questions).toBe(1);
    expect(front.seen[0]?.headers.get('host')).toBe(`rebind.test:${front.port}`);
    expect(await ask(`http://rebind.test:${origin.port}/plain`, setting)).toMatch(refusal);
    expect(origin.seen).toEqual([]);
  });

  it('is checked again where a redirect leads to the same name', async () => {
    await using front = await Origin.start({ host: '127.0.0.2' });
    await using names = await NameServer.start([['127.0.0.2'], ['127.0.0.1']]);
    const target = encodeURIComponent(`http://rebind.test:${origin.port}/plain`);
    const url = `http://rebind.test:${front.port}/redirect/307/${target}`;
    expect(await ask(url, { egress, resolve: names.resolve })).toMatch(refusal);
    expect(names.questions).toBe(2);
    expect(origin.seen).toEqual([]);
  });

  it('cannot hide an address among others', async () => {
    await using front = await Origin.start({ host: '127.0.0.2' });
    await using names = await NameServer.start([['127.0.0.1', '127.0.0.2']]);
    const setting = { egress, resolve: names.resolve };
    expect(await ask(`http://both.test:${front.port}/plain`, setting)).toBe('content');
    expect(await ask(`http://both.test:${origin.port}/plain`, setting)).toMatch(/no connection/);
    expect(origin.seen).toEqual([]);
  });
});

describe('other ways', () => {
  it('a unix socket needs a policy that permits it', async () => {
    const more = { unixSocket: '/no/such/socket' };
    expect(await ask('http://x/', { egress: { deny: ['unix'] } }, more)).toMatch(/permits no unix sockets/);
    expect(await ask('http://x/', { egress: { allow: ['x'] } }, more)).toMatch(/permits no unix sockets/);
    expect(await ask('http://x/', { egress: { allow: ['unix'] } }, more)).toMatch(/os error 2/);
    expect(await ask('http://x/', {}, more)).toMatch(/os error 2/);
  });

  it('a header for another host changes nothing', async () => {
    const headers = [{ name: 'host', value: '8.8.8.8' }];
    expect(await ask(`${origin.url}/plain`, { egress: closed }, { headers })).toMatch(refusal);
  });
});
