import { describe, expect, it } from 'vitest';
import { type BubblewrapOptions, bubblewrapArguments } from '../../../src/sandbox/bubblewrap.ts';
import { planMounts } from '../../../src/sandbox/mounts.ts';
import { rule, sorted } from '../../support/sandbox-rules.ts';

function argumentsFor(rules: readonly string[], more: Partial<BubblewrapOptions> = {}): string[] {
  return bubblewrapArguments({
    plan: planMounts(sorted(rules.map((text) => rule(text)))),
    ownProc: true,
    networkCut: true,
    sharedMemory: false,
    source: (path) => `<${path.toString()}>`,
    terminal: undefined,
    deniedFile: '/state/denied',
    hidden: [],
    ...more,
  }).map(String);
}

/** What begins an option, with its values, as a line each. */
function lines(args: readonly string[]): string[] {
  const found: string[] = [];
  for (const arg of args) {
    if (arg.startsWith('--')) found.push(arg);
    else found[found.length - 1] += ` ${arg}`;
  }
  return found;
}

const workspace = ['/:read', '/w:write', '/w/.git:read'];

describe('the arguments of bubblewrap', () => {
  it('take away every namespace and every capability, and end with the executor', () => {
    const args = argumentsFor(workspace);
    for (const flag of ['--unshare-user', '--unshare-ipc', '--unshare-uts', '--unshare-pid', '--as-pid-1'])
      expect(args).toContain(flag);
    expect(args).toContain('--die-with-parent');
    expect(lines(args)).toContain('--cap-drop ALL');
  });

  it('name nothing that the request names but paths to mount on', () => {
    const args = argumentsFor(workspace);
    for (const flag of ['--setenv', '--ro-bind-data', '--argv0', '--']) expect(args).not.toContain(flag);
    expect(lines(args)).toContain('--chdir /');
  });

  it.each([
    [true, true],
    [false, false],
  ])('cut the network off: %s', (networkCut, expected) => {
    expect(argumentsFor(workspace, { networkCut }).includes('--unshare-net')).toBe(expected);
  });

  it('mount the base first, then devices and /proc, then the rules in their order', () => {
    expect(lines(argumentsFor([...workspace, '/w/a/b:none', '/w/.env:none file'])).slice(9)).toEqual([
      '--chdir /',
      '--ro-bind / /',
      '--dev /dev',
      '--proc /proc',
      '--bind </w> /w',
      '--ro-bind /state/denied /w/.env',
      '--ro-bind </w/.git> /w/.git',
      '--bind </w/a> /w/a',
      '--perms 000',
      '--tmpfs /w/a/b',
      '--remount-ro /dev',
      '--remount-ro /proc',
      '--remount-ro /w/a/b',
    ]);
  });

  it('start from an empty tree where the root is not granted, and leave nothing of it writable', () => {
    const args = lines(argumentsFor(['/usr:read', '/w:write']));
    expect(args).toEqual(expect.arrayContaining(['--tmpfs /', '--ro-bind </usr> /usr', '--bind </w> /w']));
    expect(args).toContain('--remount-ro /');
    expect(args.indexOf('--remount-ro /')).toBeGreaterThan(args.indexOf('--bind </w> /w'));
  });

  it('make the whole disk writable only where a rule says so', () => {
    expect(lines(argumentsFor(['/:write']))).toContain('--bind / /');
    expect(lines(argumentsFor(['/:read']))).toContain('--ro-bind / /');
    expect(lines(argumentsFor([]))).not.toContain('--bind / /');
  });

  it('let what is granted in a denied directory be reached, and make it read-only when all is in place', () => {
    const args = lines(argumentsFor(['/:read', '/s:none', '/s/pub:write']));
    expect(args.slice(args.indexOf('--perms 111'))).toEqual([
      '--perms 111',
      '--tmpfs /s',
      '--bind </s/pub> /s/pub',
      '--remount-ro /dev',
      '--remount-ro /proc',
      '--remount-ro /s',
    ]);
  });

  it('keep the /proc of the host, read-only, where there can be no other', () => {
    const args = argumentsFor(workspace, { ownProc: false });
    expect(lines(args)).toContain('--ro-bind /proc /proc');
    for (const flag of ['--proc', '--unshare-pid', '--as-pid-1']) expect(args).not.toContain(flag);
  });

  it('give shared memory of its own where it is wanted, and none that would be lost', () => {
    const args = lines(argumentsFor(workspace, { sharedMemory: true }));
    expect(args[args.indexOf('--perms 1777') + 1]).toBe('--tmpfs /dev/shm');
    expect(args.indexOf('--tmpfs /dev/shm')).toBeLessThan(args.indexOf('--remount-ro /dev'));
    expect(lines(argumentsFor(workspace))).not.toContain('--tmpfs /dev/shm');
  });

  it('show a terminal by the name that consoles have', () => {
    const args = lines(argumentsFor(workspace, { terminal: '/proc/self/fd/5' }));
    expect(args).toContain('--dev-bind /proc/self/fd/5 /dev/console');
  });

  it('hide what is the business of the executor alone after everything else', () => {
    const args = lines(argumentsFor(['/:write'], { hidden: [Buffer.from('/state')] }));
    const [tmpfs, last] = [args.indexOf('--tmpfs /state'), args.indexOf('--remount-ro /state')];
    expect(args[tmpfs - 1]).toBe('--perms 000');
    expect(last).toBe(args.length - 1);
    expect(tmpfs).toBeGreaterThan(args.indexOf('--bind / /'));
  });

  it('open each source once, and only what is bound', () => {
    const opened: string[] = [];
    const source = (path: Buffer): string => `/proc/self/fd/${9 + opened.push(path.toString())}`;
    const args = lines(argumentsFor(['/:read', '/w:write', '/w/a/b:read', '/w/c:none'], { source }));
    expect(opened).toEqual(['/w', '/w/a', '/w/a/b']);
    expect(args).toContain('--bind /proc/self/fd/10 /w');
    expect(args).toContain('--ro-bind /proc/self/fd/12 /w/a/b');
  });

  it('make other names as links', () => {
    const plan = planMounts([rule('/w:read', { aliases: [Buffer.from('/l')] })]);
    expect(lines(argumentsFor([], { plan }))).toContain('--symlink /w /l');
  });

  it('are bytes', () => {
    const path = Buffer.from([0x2f, 0xff]);
    const plan = planMounts([rule('/x:read', { path, place: path, kind: 'file' })]);
    const args = bubblewrapArguments({
      plan,
      ownProc: true,
      networkCut: false,
      sharedMemory: false,
      source: () => 's',
      terminal: undefined,
      deniedFile: '',
      hidden: [],
    });
    expect(args.some((arg) => arg.equals(path))).toBe(true);
  });
});
