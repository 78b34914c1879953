import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';

/** The licences of everything in the bundle, in one text. `packages`: folders of libraries, from `root`. */
export async function licences(
  root: string,
  packages: readonly string[],
  libraries: readonly string[],
): Promise<string> {
  const parts = [
    section('exec-server', await readFile(path.join(root, 'LICENSE'), 'utf8')),
    section('Node.js', await readFile(path.join(import.meta.dirname, 'NODE-LICENSE'), 'utf8')),
  ];
  for (const library of libraries) {
    const text = await firstText(['/usr/share/doc/libstdc++6/copyright', '/usr/share/licenses/libstdc++']);
    const runtime =
      'Part of the runtime of GCC: GPL 3 or later with the GCC Runtime Library Exception 3.1; see https://gcc.gnu.org/onlinedocs/libstdc++/manual/license.html';
    parts.push(section(library, text ?? runtime));
  }
  for (const folder of packages) {
    const place = path.join(root, folder);
    const { name, version, license } = JSON.parse(
      await readFile(path.join(place, 'package.json'), 'utf8'),
    ) as {
      readonly name: string;
      readonly version: string;
      readonly license?: string;
    };
    const file = (await readdir(place)).sort().find((entry) => /^licen[cs]e(?:\.|$)/i.test(entry));
    const text = file === undefined ? (license ?? 'unknown') : await readFile(path.join(place, file), 'utf8');
    parts.push(section(`${name} ${version}`, text));
  }
  return parts.join('\n');
}

function section(title: string, text: string): string {
  return `${'='.repeat(78)}\n${title}\n${'='.repeat(78)}\n\n${text.trim()}\n`;
}

async function firstText(files: readonly string[]): Promise<string | undefined> {
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text !== undefined) return text;
  }
  return undefined;
}
