import { describe, expect, it } from 'vitest';
import { RpcError } from '../../../src/protocol/errors.ts';
import { limits } from '../../../src/protocol/limits.ts';
import { resolveSandbox } from '../../../src/sandbox/resolve.ts';
import { readSandboxWrapper } from '../../../src/sandbox/wrapper.ts';
import { at, projectRoots, restricted, root } from '../../support/sandbox-profiles.ts';

const alias = '/home/me/.codex/tmp/arg0/codex-arg0x/codex-linux-sandbox';
const profile = JSON.stringify(restricted([root('read'), projectRoots('write')]));
const flags = ['--sandbox-policy-cwd', '/w', '--command-cwd', '/w/src', '--permission-profile', profile];
const command = ['/bin/sh', '-c', 'echo "$0" -- x'];

function problemOf(argv: readonly string[], arg0?: string): RpcError {
  try {
    readSandboxWrapper(argv, arg0);
  } catch (error) {
    if (error instanceof RpcError) return error;
  }
  throw new Error('It is not refused.');
}

describe('the command of a sandbox helper', () => {
  it.each<[string, string[], string | undefined]>([
    ['called by its path', [alias, ...flags, '--', ...command], undefined],
    ['called by its path, twice', [alias, ...flags, '--', ...command], alias],
    ['called by its name', ['codex-linux-sandbox', ...flags, '--', ...command], undefined],
    [
      'called by the name that it sees',
      ['/usr/bin/codex', ...flags, '--', ...command],
      'codex-linux-sandbox',
    ],
    [
      'with flags in another order',
      [alias, ...flags.slice(4), ...flags.slice(0, 4), '--', ...command],
      alias,
    ],
    [
      'with flags and values in one',
      [
        alias,
        '--sandbox-policy-cwd=/w',
        '--command-cwd=/w/src',
        `--permission-profile=${profile}`,
        '--',
        ...command,
      ],
      alias,
    ],
    ['without a process file system', [alias, ...flags, '--no-proc', '--', ...command], alias],
  ])('is read as what it was to do: %s', (_what, argv, arg0) => {
    expect(readSandboxWrapper(argv, arg0)).toEqual({
      argv: command,
      cwd: { bytes: Buffer.from('/w/src'), form: 'plain' },
      context: {
        permissions: {
          type: 'managed',
          network: 'restricted',
          fileSystem: {
            type: 'restricted',
            globScanMaxDepth: undefined,
            entries: [
              { place: { type: 'special', special: { kind: 'root' } }, access: 'read', skipMissing: false },
              {
                place: { type: 'special', special: { kind: 'projectRoots', subpath: undefined } },
                access: 'write',
                skipMissing: false,
              },
            ],
          },
        },
        cwd: { bytes: Buffer.from('/w'), form: 'plain' },
        workspaceRoots: undefined,
        temporaryDirectories: undefined,
        useLegacyLandlock: false,
        generation: 'may2026',
      },
    });
  });

  it.each([
    [['/bin/echo', ...flags, '--', 'x'], undefined],
    [['/bin/codex-linux-sandbox-2', '--', 'x'], undefined],
    [['/codex-linux-sandbox/sh'], undefined],
    [['sh', '-c', `codex-linux-sandbox ${flags.join(' ')}`], null],
  ])('is not any other command: %j', (argv, arg0) => {
    expect(readSandboxWrapper(argv, arg0)).toBeUndefined();
  });

  it('takes a profile without a type', () => {
    const text = JSON.stringify({ file_system: { write: ['/w'] } });
    const wrapped = readSandboxWrapper(
      [alias, ...flags.slice(0, 4), '--permission-profile', text, '--', 'x'],
      alias,
    );
    expect(wrapped?.context.permissions).toMatchObject({ type: 'managed', network: 'restricted' });
  });

  it('keeps a request for another enforcer, which is refused where something is to be enforced', async () => {
    const wrapped = readSandboxWrapper([alias, ...flags, '--use-legacy-landlock', '--', 'x'], alias);
    if (wrapped === undefined) throw new Error('It is one.');
    expect(wrapped.context.useLegacyLandlock).toBe(true);
    await expect(resolveSandbox(wrapped.context, { tmpdir: undefined })).rejects.toMatchObject({
      code: -32600,
    });
  });

  const without = (flag: string): string[] => {
    const index = flags.indexOf(flag);
    return [...flags.slice(0, index), ...flags.slice(index + 2)];
  };

  it.each<[string, string[], RegExp]>([
    ['nothing at all', [alias], /no --/],
    ['no end of its flags', [alias, ...flags, ...command], /no --/],
    ['no command', [alias, ...flags, '--'], /no command/],
    ['no profile', [alias, ...without('--permission-profile'), '--', 'x'], /no --permission-profile/],
    [
      'no cwd of the policy',
      [alias, ...without('--sandbox-policy-cwd'), '--', 'x'],
      /no --sandbox-policy-cwd/,
    ],
    ['no cwd of the command', [alias, ...without('--command-cwd'), '--', 'x'], /no --command-cwd/],
    ['a flag twice', [alias, ...flags, '--command-cwd', '/x', '--', 'x'], /--command-cwd more than once/],
    [
      'a flag without its value',
      [alias, ...without('--command-cwd'), '--command-cwd', '--', 'x'],
      /without a value/,
    ],
    ['an unknown flag', [alias, ...flags, '--verbose', '--', 'x'], /does not know/],
    ['a word between its flags', [alias, ...flags, 'x', '--', 'x'], /does not know/],
    ['a value where none belongs', [alias, ...flags, '--no-proc=1', '--', 'x'], /does not know/],
    [
      'a relative cwd',
      [alias, ...without('--command-cwd'), '--command-cwd', 'w', '--', 'x'],
      /--command-cwd .*absolute/,
    ],
    [
      'no JSON',
      [alias, ...without('--permission-profile'), '--permission-profile', '{', '--', 'x'],
      /no JSON/,
    ],
    [
      'no profile in the JSON',
      [alias, ...without('--permission-profile'), '--permission-profile', '{"type":"x"}', '--', 'x'],
      /type: must be an object whose type/,
    ],
    [
      'a profile that is too long',
      [
        alias,
        ...without('--permission-profile'),
        '--permission-profile',
        JSON.stringify(restricted([at(`/${'a'.repeat(limits.sandboxArgumentLength)}`, 'read')])),
        '--',
        'x',
      ],
      /too long/,
    ],
  ])('is refused with %s, and never run as it is', (_what, argv, text) => {
    const error = problemOf(argv, alias);
    expect(error.code).toBe(-32602);
    expect(error.message).toMatch(text);
    expect(error.message).not.toContain('aaaa');
  });

  it.each([
    '--allow-network-for-proxy',
    '--sandbox-policy',
    '--file-system-sandbox-policy',
    '--network-sandbox-policy',
    '--apply-seccomp-then-exec',
  ])('is refused with %s, and says why', (flag) => {
    for (const argv of [
      [alias, ...flags, flag, '--', 'x'],
      [alias, flag, '{}', '--', 'x'],
      [alias, `${flag}={}`, ...flags, '--', 'x'],
    ]) {
      const error = problemOf(argv, undefined);
      expect(error.code).toBe(-32600);
      expect(error.message).toContain(flag);
    }
  });
});
