import { describe, expect, it } from 'vitest';

import { refuseRestrictedNetwork } from '../../../src/http/network-permission.ts';
import { SandboxContextParam } from '../../../src/protocol/sandbox.ts';

const files = { type: 'unrestricted' };
const fewFiles = { type: 'restricted', entries: [] };
const context = (permissions: object) => SandboxContextParam.parse({ permissions });
const enabled = [
  context({ type: 'managed', network: 'enabled', file_system: files }),
  context({ type: 'external', network: 'enabled' }),
];

describe('a permission profile', () => {
  it.each([undefined, null, context({ type: 'disabled' }), ...enabled])(
    '%o leaves the network open',
    (sandbox) => {
      expect(() => refuseRestrictedNetwork(sandbox, false)).not.toThrow();
      expect(() => refuseRestrictedNetwork(sandbox, true)).not.toThrow();
    },
  );

  it.each([
    context({ type: 'managed', network: 'restricted', file_system: files }),
    context({ type: 'external', network: 'restricted' }),
    context({}),
  ])('%o closes it', (sandbox) => {
    expect(() => refuseRestrictedNetwork(sandbox, false)).toThrow(/network/);
  });

  it('that restricts files opens no socket that is one', () => {
    const sandbox = context({ type: 'managed', network: 'enabled', file_system: fewFiles });
    expect(() => refuseRestrictedNetwork(sandbox, false)).not.toThrow();
    expect(() => refuseRestrictedNetwork(sandbox, true)).toThrow(/unix socket/);
  });
});
