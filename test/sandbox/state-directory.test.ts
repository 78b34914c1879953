import { chmod, mkdir, readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { arena, confinedExecutor, requireSandbox, runConfined } from '../support/sandbox-arena.ts';
import { refusalOf } from '../support/sandbox-vector-cases.ts';
import { at, restricted, root } from '../support/sandbox-profiles.ts';

test.for(['bubblewrap', 'landlock'] as const)(
  'by %s nothing is started with a state directory that others can use, until it is right',
  async (enforcer, context) => {
    requireSandbox(context);
    await using folder = await arena();
    const [state, inside] = [`${folder.path}/state`, `${folder.path}/w`];
    await mkdir(inside);
    await mkdir(state);
    await chmod(state, 0o777);
    await using executor = await confinedExecutor(enforcer, { stateDirectory: state });
    const sandbox = { permissions: restricted([root('read'), at(inside, 'write')]) };
    const starts = [
      async () => runConfined(executor, `echo x > ${inside}/f`, sandbox),
      async () => executor.client.call('fs/writeFile', { path: `${inside}/f`, dataBase64: '', sandbox }),
    ];
    for (const start of starts) {
      const error = await refusalOf(start());
      expect(error.code).toBe(-32603);
      expect(error.message).toContain(`${state} must be a directory of this user that nobody else can use`);
      expect(error.data).toMatchObject({ kind: 'sandboxFailed' });
    }
    expect(await readdir(inside)).toEqual([]);
    await chmod(state, 0o700);
    for (const start of starts) await start();
    expect(await readdir(inside)).toContain('f');
  },
);
