import { describe, expect, it } from 'vitest';

import { refuseRestrictedNetwork } from '../../../src/http/network-permission.ts';

const enabled = ['managed', 'external'].map((type) => ({ permissions: { type, network: 'enabled' } }));

describe('a permission profile', () => {
  it.each([undefined, null, { permissions: { type: 'disabled' } }, ...enabled])(
    '%o leaves the network open',
    (sandbox) => {
      expect(() => refuseRestrictedNetwork(sandbox, false)).not.toThrow();
    },
  );

  it.each([
    {},
    { permissions: null },
    { permissions: 'disabled' },
    { permissions: {} },
    { permissions: { type: 'managed' } },
    { permissions: { type: 'managed', network: 'restricted' } },
    { permissions: { type: 'managed', network: 'ENABLED' } },
    { permissions: { type: 'managed', network: true } },
    { permissions: { type: 'external', network: 'restricted' } },
    { permissions: { type: 'other', network: 'enabled' } },
    { permissions: { network: 'enabled' } },
    { permissions: [{ type: 'disabled' }] },
  ])('%o closes it', (sandbox) => {
    expect(() => refuseRestrictedNetwork(sandbox, false)).toThrow(/network/);
  });

  it('opens files to nobody but where it is disabled', () => {
    for (const sandbox of enabled)
      expect(() => refuseRestrictedNetwork(sandbox, true)).toThrow(/unix socket/);
    expect(() => refuseRestrictedNetwork({ permissions: { type: 'disabled' } }, true)).not.toThrow();
  });
});
