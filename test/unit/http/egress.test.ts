import { describe, expect, it } from 'vitest';

import { type EgressOptions, EgressPolicy, EgressRuleError } from '../../../src/http/egress.ts';

type Probe = readonly [host: string, port: number, address: string];

const permits = (options: EgressOptions, [host, port, address]: Probe): boolean =>
  new EgressPolicy(options).permits(host, port, address);

const web: Probe = ['www.example.org', 443, '93.184.215.14'];

describe('an egress policy', () => {
  it('permits everything but metadata services where nothing is said', () => {
    expect(permits({}, web)).toBe(true);
    expect(permits({}, ['localhost', 80, '127.0.0.1'])).toBe(true);
    expect(permits({}, ['x', 80, '10.1.2.3'])).toBe(true);
    expect(permits({}, ['metadata.google.internal', 80, '169.254.169.254'])).toBe(false);
    expect(permits({ allowMetadata: true }, ['x', 80, '169.254.169.254'])).toBe(true);
  });

  it('permits nothing where the list of what is allowed is empty', () => {
    expect(permits({ allow: [] }, web)).toBe(false);
    expect(new EgressPolicy({ allow: [] }).permitsUnixSockets()).toBe(false);
    expect(permits({ deny: [] }, web)).toBe(true);
  });

  it.each([
    ['www.example.org', true],
    ['WWW.Example.Org.', true],
    ['example.org', false],
    ['*.example.org', true],
    ['*.www.example.org', false],
    ['*.ample.org', false],
    ['93.184.215.14', true],
    ['93.184.215.0/24', true],
    ['93.184.216.0/24', false],
    ['0.0.0.0/0', true],
    ['::/0', false],
    ['[::/0]', false],
    ['any', true],
    ['private', false],
    ['unix', false],
    ['www.example.org:443', true],
    ['www.example.org:80', false],
    ['any:400-500', true],
    ['any:444-500', false],
    ['93.184.215.0/24:443', true],
  ])('%s matches a request to the web: %s', (rule, matched) => {
    expect(permits({ allow: [rule] }, web)).toBe(matched);
    expect(permits({ deny: [rule] }, web)).toBe(!matched);
  });

  it.each([
    ['::1', true],
    ['[::1]', true],
    ['[::1]:8080', true],
    ['[::1]:80', false],
    ['[::/64]', true],
    ['loopback:8080', true],
  ])('%s matches the loopback of IPv6: %s', (rule, matched) => {
    expect(permits({ allow: [rule] }, ['::1', 8080, '::1'])).toBe(matched);
  });

  it('lets what is denied win', () => {
    const options = { allow: ['10.0.0.0/8'], deny: ['10.0.0.1', 'secret.test'] };
    expect(permits(options, ['x', 80, '10.0.0.2'])).toBe(true);
    expect(permits(options, ['x', 80, '10.0.0.1'])).toBe(false);
    expect(permits(options, ['secret.test', 80, '10.0.0.2'])).toBe(false);
    expect(permits(options, ['x', 80, '11.0.0.2'])).toBe(false);
  });

  it('sees through an address in another address where it denies, but allows only what is the same', () => {
    expect(permits({ deny: ['10.0.0.0/8'] }, ['x', 80, '64:ff9b::a00:1'])).toBe(false);
    expect(permits({ allow: ['10.0.0.0/8'] }, ['x', 80, '64:ff9b::a00:1'])).toBe(false);
    expect(permits({ allow: ['10.0.0.0/8'] }, ['x', 80, '::ffff:10.0.0.1'])).toBe(true);
  });

  it('permits nothing that is no address', () => {
    for (const text of ['', 'x', '127.0.0.1.1', '::1::', '10.0.0.256'])
      expect(permits({}, ['x', 80, text])).toBe(false);
    expect(permits({}, ['x', 80, 'fe80::1%eth0'])).toBe(false);
  });

  it.each([
    '',
    '*',
    '*.',
    'a b',
    'a,b',
    'http://example.org',
    'example.org/path',
    'example.org:',
    'example.org:x',
    'example.org:70000',
    'example.org:2-1',
    '10.0.0.0/33',
    '10.0.0/8',
    '10.0.0.1.',
    '2130706433',
    '0x7f.1',
    '0x7f000001',
    '127.1',
    '[::1',
    '[10.0.0.0/x]',
    'fe80::/129',
    'a..b',
  ])('refuses the rule "%s"', (rule) => {
    expect(() => new EgressPolicy({ deny: [rule] })).toThrow(EgressRuleError);
  });
});
