import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  realpath,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';

import type { SandboxContextInput } from './sandbox-files-profile.ts';
import { context, special } from './sandbox-files-profile.ts';

/** Not below the temporary directory, which profiles often make writable. */
const parent = '/var/tmp';
const nobody = 65534;

/** A workspace, a folder beside it, and one that profiles deny. */
export class SandboxTree implements AsyncDisposable {
  readonly root: string;
  readonly workspace: string;
  readonly outside: string;

  private constructor(root: string) {
    this.root = root;
    this.workspace = path.join(root, 'w');
    this.outside = path.join(root, 'out');
  }

  static async create(): Promise<SandboxTree> {
    const tree = new SandboxTree(await realpath(await mkdtemp(path.join(parent, 'exec-sandbox-'))));
    const { workspace, outside } = tree;
    for (const folder of ['w/.git', 'w/src/deep', 'w/pub', 'out/in'])
      await mkdir(path.join(tree.root, folder), { recursive: true });
    await writeFile(path.join(workspace, 'f.txt'), 'inside\n');
    await writeFile(path.join(workspace, '.env'), 'secret\n');
    await writeFile(path.join(workspace, '.git/config'), 'config\n');
    await writeFile(path.join(workspace, 'src/a.c'), 'int a;\n');
    await writeFile(path.join(workspace, 'src/deep/d.c'), 'int d;\n');
    await writeFile(path.join(outside, 'o.txt'), 'outside\n');
    await symlink('../out', path.join(workspace, 'lout'));
    await symlink('../out/o.txt', path.join(workspace, 'lo'));
    return tree;
  }

  /** Makes everything that of a user without privileges, whom the executor runs as. */
  async giveToNobody(): Promise<void> {
    await chmod(this.root, 0o755);
    for (const name of await readdir(this.root, { recursive: true })) {
      if (!['w/lout', 'w/lo'].includes(name)) await chown(path.join(this.root, name), nobody, nobody);
    }
    await chown(this.root, nobody, nobody);
  }

  in(name: string): string {
    return path.join(this.workspace, name);
  }

  out(name: string): string {
    return path.join(this.outside, name);
  }

  /** Everything in the workspace is writable but its metadata, and everything is readable. */
  get workspaceWrite(): SandboxContextInput {
    return context(this.workspace, [special('root', 'read'), special('project_roots', 'write')]);
  }

  /** Names and contents, links as they are. */
  async snapshot(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const entry of await readdir(this.root, { recursive: true, withFileTypes: true })) {
      const place = path.join(entry.parentPath, entry.name);
      const content = entry.isFile()
        ? await readFile(place, 'utf8')
        : entry.isSymbolicLink()
          ? 'link'
          : 'folder';
      found[path.relative(this.root, place)] = content;
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}
