import { describe, expect, test } from 'vitest';
import { type Enforcer, confinedExecutor, requireSandbox } from '../support/sandbox-arena.ts';
import { fileVectors } from '../support/sandbox-file-vectors.ts';
import { nothing, restricted, root } from '../support/sandbox-profiles.ts';

// Each vector takes a worker of its own. The other form by Landlock is in the tests of the ordinary user.
const forms: Readonly<Record<Enforcer, readonly ('uri' | 'plain')[]>> = {
  bubblewrap: ['uri', 'plain'],
  landlock: ['uri'],
};

describe.each(['bubblewrap', 'landlock'] as const)('by %s', (enforcer) => {
  fileVectors(enforcer, 'root', forms[enforcer]);

  test('6: a device is not written as a file, whatever the profile says', async (context) => {
    requireSandbox(context);
    await using executor = await confinedExecutor(enforcer);
    for (const sandbox of [null, nothing, { permissions: restricted([root('read')]) }]) {
      const write = executor.client.call('fs/writeFile', { path: '/dev/null', dataBase64: '', sandbox });
      await expect(write).rejects.toMatchObject({ code: -32600, message: 'The path is not a regular file.' });
    }
  });
});
