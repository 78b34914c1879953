import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { IgnoreRules, rulesBelow } from '../../disk/ignore-rules.ts';
import { limits } from '../../protocol/limits.ts';
import { parsePath } from '../../protocol/path.ts';
import type { SyncOptions, SyncPeer } from './options.ts';
import { type LocalSide, type RemoteSide } from './sides.ts';

/** All that a run ignores, as lines that hold at the root: those of files in the source, then the given ones, which are stronger. */
export async function collectRules(
  peer: SyncPeer,
  sides: { readonly local: LocalSide; readonly remote: RemoteSide },
  { direction, ignore = [], ignoreFiles = [], sandbox }: SyncOptions,
): Promise<string[]> {
  const found =
    ignoreFiles.length === 0
      ? []
      : direction === 'up'
        ? await localRules(sides.local.path, ignore, ignoreFiles)
        : await remoteRules(peer, sides.remote.path, ignoreFiles, sandbox);
  const rules = [...found, ...ignore];
  const chars = rules.reduce((sum, rule) => sum + rule.length, 0);
  if (rules.length > limits.ignoreRules || chars > limits.ignoreRuleChars)
    throw new Error(
      `There are ${rules.length} ignore rules with ${chars} characters; at most ${limits.ignoreRules} with ${limits.ignoreRuleChars} are possible.`,
    );
  return rules;
}

async function localRules(
  root: string,
  ignore: readonly string[],
  files: readonly string[],
): Promise<string[]> {
  const lines: string[] = [];
  const visit = async (directory: string): Promise<void> => {
    const entries = await readdir(join(root, directory), { withFileTypes: true });
    for (const name of files) {
      if (!entries.some((entry) => entry.name === name && entry.isFile())) continue;
      lines.push(...rulesBelow(directory, await readFile(join(root, directory, name), 'utf8')));
    }
    const rules = new IgnoreRules([...lines, ...ignore]);
    for (const entry of entries) {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      // What cannot be read is told by the comparison.
      if (entry.isDirectory() && !rules.ignores(path, true)) await visit(path).catch(() => {});
    }
  };
  await visit('').catch(() => {});
  return lines;
}

async function remoteRules(
  peer: SyncPeer,
  root: string,
  files: readonly string[],
  sandbox: SyncOptions['sandbox'],
): Promise<string[]> {
  const given = sandbox == null ? {} : { sandbox };
  const patterns = files.map((name) => `**/${name.replaceAll(/[\\*?[\]{}()!+@]/g, String.raw`\$&`)}`);
  const { paths } = await peer.files.glob({ path: root, patterns, ...given });
  const found: { readonly directory: string; readonly lines: string[] }[] = [];
  const prefix = root === '/' ? '/' : `${root}/`;
  for (const shown of paths) {
    const parsed = parsePath(shown);
    const path = 'problem' in parsed ? '' : parsed.bytes.toString();
    if (!path.startsWith(prefix)) continue;
    const relative = path.slice(prefix.length);
    const directory = relative.slice(0, Math.max(0, relative.lastIndexOf('/')));
    const text = Buffer.from(await peer.files.readFile(path, { length: limits.ignoreRuleChars }));
    found.push({ directory, lines: rulesBelow(directory, text.toString()) });
  }
  // Those of a directory are weaker than those below it.
  found.sort((one, other) => one.directory.length - other.directory.length);
  return found.flatMap(({ lines }) => lines);
}
