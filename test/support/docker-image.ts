import { cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';

import { command, docker, succeeds } from './docker.ts';

const suite = 'trixie';
const mirror = 'http://deb.debian.org/debian';
const repository = path.resolve(import.meta.dirname, '..', '..');
/** Authorities that this machine trusts beyond Debian's own list; a build on it needs them, too. */
const localCertificates = '/usr/local/share/ca-certificates';
/** Settings of this machine that a build needs in order to reach the registries. */
const passedOn = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];

/** Builds the image of this repository and answers its tag. `EXEC_SERVER_BASE_IMAGE` names another base than our own. */
export async function buildImage(): Promise<string> {
  const tag = 'exec-server:test';
  const base = process.env['EXEC_SERVER_BASE_IMAGE'] || (await ensureBase());
  const settings = [...passedOn, 'NPM_CONFIG_REGISTRY'].filter((name) => process.env[name]);
  const buildArgs = [`BASE_IMAGE=${base}`, ...settings].flatMap((setting) => ['--build-arg', setting]);
  await docker('build', ...buildArgs, '--tag', tag, repository);
  return tag;
}

/** A bare Debian, made on this machine: no registry of images is asked. Its archive is kept between runs. `packages`: what it has besides. */
export async function ensureBase(packages: readonly string[] = []): Promise<string> {
  const variant = [suite, ...packages].join('-');
  const tag = `exec-server-base:${variant}`;
  if (await succeeds('docker', 'image', 'inspect', tag)) return tag;
  const folder = path.join(
    process.env['XDG_CACHE_HOME'] || path.join(homedir(), '.cache'),
    'exec-server',
    'images',
  );
  const archive = path.join(folder, `${variant}.tar`);
  await mkdir(folder, { recursive: true });
  if (!(await succeeds('test', '-f', archive))) await makeArchive(archive, packages);
  await docker('import', archive, tag);
  return tag;
}

async function makeArchive(archive: string, packages: readonly string[]): Promise<void> {
  // Of this process alone: another one may be making the same archive.
  const scratch = `${archive}.${process.pid}`;
  const root = await mkdtemp(path.join(tmpdir(), 'exec-server-base-'));
  try {
    const include = packages.length === 0 ? [] : [`--include=${packages.join(',')}`];
    await command('debootstrap', '--variant=minbase', ...include, suite, root, mirror);
    for (const file of await readdir(localCertificates).catch(() => [])) {
      if (file.endsWith('.crt'))
        await cp(path.join(localCertificates, file), path.join(root, localCertificates, file));
    }
    await command('tar', '--create', '--one-file-system', '--file', scratch, '--directory', root, '.');
    await rename(scratch, archive);
  } finally {
    await rm(root, { recursive: true, force: true });
    await rm(scratch, { force: true });
  }
}

/** An image with the C library and a shell, and nothing else. Who asks for it removes it. */
export async function tinyImage(): Promise<string> {
  const base = await ensureBase();
  const tag = 'exec-server-tiny:test';
  const root = await mkdtemp(path.join(tmpdir(), 'exec-server-tiny-'));
  const container = await docker('create', base, 'none');
  try {
    const libraries = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
    const loader = process.arch === 'arm64' ? 'lib/ld-linux-aarch64.so.1' : 'lib64/ld-linux-x86-64.so.2';
    for (const folder of ['bin', `lib/${libraries}`, 'lib64', 'tmp'])
      await mkdir(path.join(root, folder), { recursive: true });
    for (const library of ['libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0']) {
      const place = `lib/${libraries}/${library}`;
      await docker('cp', '--follow-link', `${container}:/usr/${place}`, path.join(root, place));
    }
    await docker('cp', '--follow-link', `${container}:/usr/${loader}`, path.join(root, loader));
    await docker('cp', '--follow-link', `${container}:/usr/bin/dash`, path.join(root, 'bin/sh'));
    await command('tar', '--create', '--file', `${root}.tar`, '--directory', root, '.');
    await docker('import', `${root}.tar`, tag);
    return tag;
  } finally {
    await docker('rm', container);
    await rm(root, { recursive: true, force: true });
    await rm(`${root}.tar`, { force: true });
  }
}
