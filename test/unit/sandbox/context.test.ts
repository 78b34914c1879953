import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { SandboxContextParam } from '../../../src/protocol/sandbox.ts';
import { decodeParams } from '../../../src/rpc/decode.ts';
import { at, restricted, root } from '../../support/sandbox-profiles.ts';

const disabled = { type: 'disabled' };
const managed = (fileSystem: unknown, network: unknown = 'restricted'): unknown => ({
  permissions: { type: 'managed', network, file_system: fileSystem },
});
const entries = (...list: unknown[]): unknown => managed({ type: 'restricted', entries: list });
const place = (path: unknown): unknown => entries({ path, access: 'read' });
const special = (value: unknown): unknown => place({ type: 'special', value });

const decode = (value: unknown) => decodeParams(SandboxContextParam, value);

describe('a sandbox context', () => {
  it('has a typed form without the spelling of the wire', () => {
    const context = decode({
      permissions: {
        type: 'managed',
        network: 'enabled',
        file_system: {
          type: 'restricted',
          glob_scan_max_depth: 3,
          entries: [
            { path: { type: 'path', path: 'file:///a%20b/' }, access: 'deny', missing_path_behavior: 'skip' },
            { path: { type: 'path', path: '/c/' }, access: 'none' },
            { path: { type: 'glob_pattern', pattern: '/w/**/*.key' }, access: 'none' },
            { path: { type: 'special', value: { kind: 'project_roots', subpath: '.git' } }, access: 'write' },
            { path: { type: 'special', value: { kind: 'project_roots', subpath: '' } }, access: 'write' },
            { path: { type: 'special', value: { kind: 'current_working_directory' } }, access: 'read' },
            { path: { type: 'special', value: { kind: 'slash_tmp' } }, access: 'read' },
            {
              path: { type: 'special', value: { kind: 'unknown', path: ':x', subpath: 'y' } },
              access: 'read',
            },
          ],
        },
      },
      cwd: 'file:///w',
      workspaceRoots: ['file:///w'],
      userHomeDir: '/home/me',
      temporaryDirectories: ['/t'],
      windowsSandboxLevel: 'mxc',
      windowsSandboxProxySettingsMode: 'preserve',
      sandboxOverride: 'noOverride',
      something: { later: true },
    });
    const entry = (place: unknown, access: string, skipMissing = false) => ({ place, access, skipMissing });
    const roots = (subpath?: string) => ({ type: 'special', special: { kind: 'projectRoots', subpath } });
    const path = (text: string, form: string) => ({ type: 'path', path: { bytes: Buffer.from(text), form } });
    expect(context).toEqual({
      permissions: {
        type: 'managed',
        network: 'enabled',
        fileSystem: {
          type: 'restricted',
          globScanMaxDepth: 3,
          entries: [
            entry(path('/a b', 'uri'), 'none', true),
            entry(path('/c', 'plain'), 'none'),
            entry({ type: 'glob', pattern: '/w/**/*.key' }, 'none'),
            entry(roots('.git'), 'write'),
            entry(roots(), 'write'),
            entry(roots(), 'read'),
            entry({ type: 'special', special: { kind: 'slashTmp' } }, 'read'),
            entry({ type: 'special', special: { kind: 'unknown' } }, 'read'),
          ],
        },
      },
      cwd: { bytes: Buffer.from('/w'), form: 'uri' },
      workspaceRoots: [{ bytes: Buffer.from('/w'), form: 'uri' }],
      temporaryDirectories: [{ bytes: Buffer.from('/t'), form: 'plain' }],
      useLegacyLandlock: false,
      generation: 'current',
    });
  });

  it.each([
    ['permissions alone', { permissions: disabled }],
    ['the levels of Windows', { permissions: disabled, windowsSandboxLevel: 'restricted-token' }],
    ['members of May 2026', { permissions: disabled, windowsSandboxPrivateDesktop: false, cwd: '/w' }],
    [
      'null for what is optional',
      { permissions: disabled, cwd: null, workspaceRoots: null, sandboxOverride: null },
    ],
    ['members of April 2026, which mean nothing', { permissions: disabled, sandboxPolicy: { type: 'x' } }],
    ['unknown members of a profile', { permissions: { type: 'disabled', fileSystem: 1 } }],
    ['unknown members of files', managed({ type: 'restricted', entries: [], globScanMaxDepth: 0 })],
    [
      'unknown members of an entry',
      entries({ path: { type: 'path', path: '/a', x: 1 }, access: 'read', y: 2 }),
    ],
    ['null for the depth', managed({ type: 'restricted', entries: [], glob_scan_max_depth: null })],
  ])('takes %s', (_what, value) => {
    expect(() => decode(value)).not.toThrow();
  });

  it.each<[string, unknown, string, RegExp]>([
    ['text', 'disabled', '', /must be an object with permissions/],
    ['no permissions', {}, 'permissions', /type is managed, disabled or external/],
    ['null as permissions', { permissions: null }, 'permissions', /type is managed, disabled or external/],
    ['text as permissions', { permissions: 'disabled' }, 'permissions', /managed, disabled or external/],
    ['an unknown type', { permissions: { type: 'x' } }, 'permissions.type', /managed, disabled or external/],
    [
      'a level in capitals',
      { permissions: disabled, windowsSandboxLevel: 'Disabled' },
      'windowsSandboxLevel',
      /"mxc"/,
    ],
    ['a relative cwd', { permissions: disabled, cwd: 'w' }, 'cwd', /absolute path or a file: URI/],
    [
      'a relative root',
      { permissions: disabled, workspaceRoots: ['w'] },
      'workspaceRoots.0',
      /absolute path/,
    ],
    [
      'an unknown override',
      { permissions: disabled, sandboxOverride: 'x' },
      'sandboxOverride',
      /"noOverride"/,
    ],
    [
      'an unknown network',
      managed({ type: 'unrestricted' }, 'off'),
      'permissions.network',
      /"restricted", "enabled"/,
    ],
    [
      'an object as network',
      managed({ type: 'unrestricted' }, { enabled: true }),
      'permissions.network',
      /one of/,
    ],
    [
      'no files',
      { permissions: { type: 'managed', network: 'enabled' } },
      'permissions.file_system',
      /unrestricted or/,
    ],
    [
      'files in camel case',
      { permissions: { type: 'managed', network: 'enabled', fileSystem: {} } },
      'permissions.file_system',
      /unrestricted or restricted/,
    ],
    ['no entries', managed({ type: 'restricted' }), 'permissions.file_system.entries', /expected array/],
    [
      'a depth of 0',
      managed({ type: 'restricted', entries: [], glob_scan_max_depth: 0 }),
      'permissions.file_system.glob_scan_max_depth',
      />=1/,
    ],
    [
      'access in capitals',
      entries({ path: { type: 'path', path: '/a' }, access: 'WRITE' }),
      'permissions.file_system.entries.0.access',
      /"read", "write", "none", "deny"/,
    ],
    [
      'no access',
      entries({ path: { type: 'path', path: '/a' } }),
      'permissions.file_system.entries.0.access',
      /must be one of/,
    ],
    [
      'an entry that is text',
      entries('/a'),
      'permissions.file_system.entries.0',
      /an object with path and access/,
    ],
    [
      'a relative path',
      place({ type: 'path', path: 'a' }),
      'permissions.file_system.entries.0.path.path',
      /absolute path/,
    ],
    [
      'a path elsewhere',
      place({ type: 'path', path: 'file://host/a' }),
      'permissions.file_system.entries.0.path.path',
      /host/,
    ],
    [
      'an unknown kind of place',
      place({ type: 'regex', path: '/a' }),
      'permissions.file_system.entries.0.path.type',
      /path, glob_pattern or special/,
    ],
    [
      'an unknown special place',
      special({ kind: 'home' }),
      'permissions.file_system.entries.0.path.value.kind',
      /root, minimal, project_roots/,
    ],
    [
      'a pattern that is none',
      place({ type: 'glob_pattern', pattern: '' }),
      'permissions.file_system.entries.0.path.pattern',
      />=1/,
    ],
    [
      'another way with what is missing',
      entries({ path: { type: 'path', path: '/a' }, access: 'read', missing_path_behavior: 'create' }),
      'permissions.file_system.entries.0.missing_path_behavior',
      /"skip"/,
    ],
    [
      'a subpath with NUL',
      special({ kind: 'project_roots', subpath: 'a\0' }),
      'permissions.file_system.entries.0.path.value.subpath',
      /NUL/,
    ],
    [
      'a flag that is text',
      { permissions: disabled, useLegacyLandlock: 'no' },
      'useLegacyLandlock',
      /expected boolean/,
    ],
  ])('refuses %s with the member and what is accepted', (_what, value, member, text) => {
    const error = catchError(() => decode(value));
    expect(error).toMatchObject({ code: -32602 });
    expect(error.message).toContain(member === '' ? 'params: ' : `params.${member}: `);
    expect(error.message).toMatch(text);
  });

  it('refuses more entries and roots than there is room for', () => {
    const many = Array.from({ length: limits.sandboxEntries + 1 }, () => at('/a', 'read'));
    expect(catchError(() => decode({ permissions: restricted(many) }))).toMatchObject({ code: -32602 });
    const workspaceRoots = Array.from({ length: limits.sandboxRoots + 1 }, () => '/a');
    expect(catchError(() => decode({ permissions: disabled, workspaceRoots }))).toMatchObject({
      code: -32602,
    });
  });

  it.each([
    [{ permissions: restricted([root('read')]) }, undefined],
    [{ permissions: restricted([root('read')]), windowsSandboxLevel: 'disabled' }, undefined],
    [{ permissions: restricted([root('read')]), windowsSandboxPrivateDesktop: false }, 'may2026'],
    [{ permissions: restricted([at('/a', 'read')]) }, 'may2026'],
    [{ permissions: restricted([]), cwd: '/a' }, 'may2026'],
    [{ permissions: restricted([at('file:///a', 'read')]) }, 'current'],
    [{ permissions: restricted([]), workspaceRoots: [] }, 'current'],
    [{ permissions: restricted([at('/a', 'read')]), sandboxOverride: 'noOverride' }, 'current'],
  ] as const)('tells which clients write %j', (value, generation) => {
    expect(decode(value).generation).toBe(generation);
  });
});

describe('a profile without a type', () => {
  const legacy = (permissions: unknown) => decode({ permissions }).permissions;
  const path = (text: string, access: string) => ({
    place: { type: 'path', path: { bytes: Buffer.from(text), form: 'plain' } },
    access,
    skipMissing: false,
  });
  const files = (list: unknown[], network = 'restricted', globScanMaxDepth?: number) => ({
    type: 'managed',
    network,
    fileSystem: { type: 'restricted', entries: list, globScanMaxDepth },
  });

  it.each<[unknown, unknown]>([
    [{}, files([])],
    [{ network: null, file_system: null }, files([])],
    [{ network: { enabled: false } }, files([])],
    [{ network: { enabled: true } }, files([], 'enabled')],
    [{ file_system: { read: ['/r'], write: ['/w'] } }, files([path('/r', 'read'), path('/w', 'write')])],
    [{ file_system: { read: null, write: ['/w'] } }, files([path('/w', 'write')])],
    [
      { file_system: { entries: [at('/a', 'none')], glob_scan_max_depth: 2 } },
      files([path('/a', 'none')], 'restricted', 2),
    ],
  ])('%j is a list of grants', (value, profile) => {
    expect(legacy(value)).toEqual(profile);
  });

  it.each<[unknown, RegExp]>([
    [{ fileSystem: {} }, /permissions: .*fileSystem/],
    [{ file_system: { readonly: [] } }, /file_system: .*readonly/],
    [{ network: { enabled: true, hosts: [] } }, /network: .*hosts/],
    [{ network: 'enabled' }, /network: /],
    [{ file_system: { read: ['r'] } }, /file_system\.read\.0: .*absolute/],
    [{ file_system: { read: ['/r'], entries: [] } }, /read and write, or entries/],
    [{ file_system: { glob_scan_max_depth: 1 } }, /read and write, or entries/],
    [{ file_system: { type: 'unrestricted' } }, /file_system: .*type/],
  ])('%j is refused: an unknown member could have been a denial', (value, text) => {
    const error = catchError(() => legacy(value));
    expect(error).toMatchObject({ code: -32602 });
    expect(error.message).toMatch(text);
  });
});

function catchError(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('Nothing was thrown.');
}
