import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { limits } from '../../protocol/limits.ts';
import { ConnectionError } from '../../rpc/connection-error.ts';
import type { Bundle } from '../bundle/bundle.ts';
import type { HopChild } from '../hop.ts';
import type { DockerEngine } from './engine.ts';
import { explain } from './explain.ts';

/** Where an executor lies in a container. */
export function bundleFolder(folder: string, bundle: Bundle): string {
  return `${folder.replace(/\/+$/, '')}/.exec-server-${bundle.digest}`;
}

/** Puts the executor into a container that does not run yet. */
export async function installStopped(
  engine: DockerEngine,
  container: string,
  { bundle, folder, signal }: InstallOptions,
): Promise<void> {
  await put(engine, container, { bundle, folder, signal }, bundleFolder('', bundle).slice(1));
}

export interface InstallOptions {
  readonly bundle: Bundle;
  readonly folder: string;
  readonly signal: AbortSignal;
}

/**
 * Puts the executor into a running container, once: it is unpacked under another name, checked there, and gets its own in one step.
 * What is there already is used if root has put it there; nobody else could have done that.
 */
export async function installOnce(
  engine: DockerEngine,
  container: string,
  { bundle, folder, signal }: InstallOptions,
): Promise<void> {
  const place = bundleFolder(folder, bundle);
  const found = await engine.entry(container, place, signal);
  if (found !== undefined) {
    if (found.isDirectory && found.uid === 0 && (found.mode & 0o22) === 0) return;
    throw new ConnectionError(
      'refused',
      `${place} in the container is not root's alone, and is not trusted. Remove it, or name another folder with the option \`folder\`.`,
    );
  }
  const name = `.exec-server-new-${randomUUID()}`;
  const unpacked = `${folder.replace(/\/+$/, '')}/${name}`;
  try {
    await put(engine, container, { bundle, folder, signal }, name);
    await runInside(engine, container, unpacked, ['place', unpacked, place], signal);
  } catch (error) {
    await discard(engine, container, unpacked);
    throw error;
  }
}

/** The archive as it is, into a new folder that is root's. */
async function put(
  engine: DockerEngine,
  container: string,
  { bundle, folder, signal }: InstallOptions,
  name: string,
): Promise<void> {
  const tar = pack();
  tar.entry({ name, type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: new Date(0) });
  tar.finalize();
  await engine.put(container, folder, Readable.from(tar, { objectMode: false }), signal);
  await engine.put(container, `${folder.replace(/\/+$/, '')}/${name}`, bundle.read(), signal);
}

/** Runs the bundle's own helper, as root. Rejects with what it says. */
export async function runInside(
  engine: DockerEngine,
  container: string,
  place: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const argv = [`${place}/bin/node`, `${place}/lib/environments/docker/inside.js`, ...args];
  await using child = await engine.exec(container, { argv, user: '0', workdir: '/' }, signal);
  const said = await outputOf(child);
  const { code } = await child.exited;
  if (code !== 0) {
    const target = JSON.stringify(container.slice(0, 12));
    throw explain(new Error(said === '' ? `exec: ${argv[0]} ended with ${code}` : said), {
      engine: engine.label,
      target,
    });
  }
}

/** Where its Node does not run, something of the container's own has to do it. */
async function discard(engine: DockerEngine, container: string, unpacked: string): Promise<void> {
  try {
    const argv = ['rm', '-rf', unpacked];
    const signal = AbortSignal.timeout(limits.containerRemovalMs);
    await using child = await engine.exec(container, { argv, user: '0', workdir: '/' }, signal);
    await outputOf(child);
  } catch {
    // The failure that led here is told.
  }
}

/** The last of what a short program says on both streams. The engine says there, too, why a program has not started. */
async function outputOf({ stdin, stdout, stderr }: HopChild): Promise<string> {
  stdin.end();
  let text = '';
  const take = async (stream: Readable): Promise<void> => {
    for await (const part of stream) text = (text + String(part)).slice(-limits.saidCharacters);
  };
  await Promise.all([take(stdout), take(stderr)]);
  return text.trim();
}
