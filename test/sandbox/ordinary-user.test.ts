import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { arena, requireSandbox, runConfined } from '../support/sandbox-arena.ts';
import { fileVectors } from '../support/sandbox-file-vectors.ts';
import { giveAway, ordinaryExecutor } from '../support/sandbox-ordinary.ts';
import { processVectors } from '../support/sandbox-process-vectors.ts';
import { type WireSandbox, at, restricted, root } from '../support/sandbox-profiles.ts';

describe.each(['bubblewrap', 'landlock'] as const)('as an ordinary user by %s', (enforcer) => {
  describe('processes', () => processVectors(enforcer, 'ordinary'));
  describe('files', () => fileVectors(enforcer, 'ordinary', ['plain']));

  test('an executor out of a copy of its files confines both', async (context) => {
    requireSandbox(context);
    await using folder = await arena();
    await writeFile(`${folder.path}/f`, 'f');
    await giveAway(folder.path);
    await using executor = await ordinaryExecutor({ enforcer, copy: true });
    const sandbox = { permissions: restricted([root('read'), at(folder.path, 'write')]) };
    const ran = await runConfined(
      executor,
      `id -u; echo x > ${folder.path}/new; echo x > /var/tmp/new`,
      sandbox,
    );
    expect(ran.exitCode).not.toBe(0);
    expect(await readFile(`${folder.path}/new`, 'utf8')).toBe('x\n');
    if (process.getuid?.() === 0) expect(ran.output).toMatch(/^65534\n/);
    const { dataBase64 } = await executor.client.call('fs/readFile', { path: `${folder.path}/f`, sandbox });
    expect(dataBase64.toString()).toBe('f');
  });

  test('what nobody can make needs no protection, and what its owner could make does', async (context) => {
    requireSandbox(context);
    await using folder = await arena();
    const inside = `${folder.path}/w`;
    await mkdir(inside);
    await giveAway(folder.path);
    await using executor = await ordinaryExecutor({ enforcer });
    const sandbox: WireSandbox = { permissions: restricted([root('write'), at('/usr/none/x', 'none')]) };
    const ran = await runConfined(executor, `echo x > ${inside}/f; mkdir /.git /usr/none`, sandbox);
    // An executor of root may have put something in place of the first one.
    expect(ran.output.match(/Permission denied|Read-only|File exists/g)).toHaveLength(2);
    expect(await readdir(inside)).toEqual(['f']);
    await chmod(inside, 0o555);
    const closed: WireSandbox = { permissions: restricted([root('read'), at(inside, 'write')]) };
    const script = `chmod 755 ${inside}; mkdir ${inside}/.git ${inside}/made`;
    // A broker does without a placeholder.
    if (enforcer === 'landlock') {
      expect((await runConfined(executor, script, closed)).exitCode).not.toBe(0);
    } else {
      await expect(runConfined(executor, script, closed)).rejects.toMatchObject({
        code: -32600,
        data: { sandbox: { refused: true, fix: expect.stringContaining('make directories') } },
      });
    }
    await chmod(inside, 0o755);
    expect(await readdir(inside)).not.toContain('.git');
  });
});
