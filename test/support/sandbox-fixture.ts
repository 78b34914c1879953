import { mkdir, realpath, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** The places that the vectors are about, by the names that they use. */
export interface Places {
  /** A workspace. */
  readonly W: string;
  /** Beside it. */
  readonly OUT: string;
  readonly SEC: string;
  /** A link to W. */
  readonly LINK: string;
  /** What holds all of them. */
  readonly PARENT: string;
  /** A directory for temporary files. */
  readonly T: string;
  /** Not there. */
  readonly NEWDIR: string;
  /** A file directly in /tmp, which need not be there. */
  readonly PROBE: string;
}

const files: Readonly<Record<string, string>> = {
  'W/f.txt': 'f',
  'W/.env': 'secret',
  'W/.git/config': '[core]',
  'W/src/a.c': 'a',
  'W/src/.env': 'secret',
  'W/src/deep/d.c': 'd',
  'W/pub/p': 'p',
  'OUT/o.txt': 'o',
  'OUT/in/i.txt': 'i',
  'SEC/s.txt': 's',
  'SEC/pub/sp.txt': 'sp',
};

const links: Readonly<Record<string, string>> = {
  'W/lout': '../OUT',
  'W/lo': '../OUT/o.txt',
  'W/lsrc': 'src',
  LINK: 'W',
};

/** Makes the fixture in an empty directory. */
export async function makePlaces(folder: string): Promise<Places> {
  const parent = await realpath(folder);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.join(parent, path.dirname(name)), { recursive: true });
    await writeFile(path.join(parent, name), content);
  }
  for (const [name, target] of Object.entries(links)) await symlink(target, path.join(parent, name));
  await mkdir(path.join(parent, 'T'));
  const inside = (name: string): string => path.join(parent, name);
  return {
    W: inside('W'),
    OUT: inside('OUT'),
    SEC: inside('SEC'),
    LINK: inside('LINK'),
    PARENT: parent,
    T: inside('T'),
    NEWDIR: inside('NEWDIR'),
    PROBE: `/tmp/exec-server-probe-${path.basename(parent)}`,
  };
}

/** A path whose first part may be the name of a place: `W/src`. */
export function expand(text: string, places: Places): string {
  const [first = '', ...rest] = text.split('/');
  const place = Object.entries(places).find(([name]) => name === first)?.[1];
  return place === undefined ? text : [place, ...rest].join('/');
}
