import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

/** The rules of ARCHITECTURE.md that a machine can check. A message names the rule and where it is explained. */
const root = path.resolve(import.meta.dirname, '..');

/** A folder of src, or a file at its top, and what of src it may import: folders, or single files of them. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  support: [],
  protocol: [],
  'version.ts': [],
  rpc: ['protocol', 'support'],
  relay: ['protocol', 'rpc', 'support'],
  sandbox: ['disk', 'protocol', 'support'],
  access: ['disk', 'protocol', 'support'],
  process: ['protocol', 'sandbox', 'support'],
  disk: ['protocol', 'support'],
  'file-system': ['disk', 'protocol', 'sandbox', 'support'],
  http: ['protocol', 'support'],
  telemetry: ['protocol', 'support'],
  server: [
    'access',
    'disk',
    'file-system',
    'http',
    'process',
    'protocol',
    'relay',
    'rpc',
    'sandbox',
    'support',
    'telemetry',
    'version.ts',
  ],
  client: ['access/loopback.ts', 'disk', 'protocol', 'relay', 'rpc', 'support', 'version.ts'],
  environments: [
    'access/loopback.ts',
    'client',
    'config.ts',
    'disk',
    'process',
    'protocol',
    'rpc',
    'sandbox/metadata.ts',
    'support',
    'server/exec-server.ts',
  ],
  rendezvous: ['access', 'disk', 'protocol', 'relay', 'rpc', 'support', 'telemetry'],
  'config.ts': [
    'access',
    'http/egress.ts',
    'protocol',
    'server/rendezvous/settings.ts',
    'support',
    'telemetry',
  ],
  cli: ['anything'],
  'index.ts': ['anything'],
  'main.ts': ['cli/main.ts'],
};

/** What even those that may import anything leave alone: the ends of the package. */
const ends = new Set(['index.ts', 'main.ts']);

/** The outside libraries, and the files or folders of src that may use each. */
const libraries: Readonly<Record<string, readonly string[]>> = {
  '@bufbuild/protobuf': ['relay'],
  '@bufbuild/protobuf/codegenv2': ['relay/relay_pb.ts'],
  '@fastify/websocket': ['rendezvous/service.ts', 'server/listen-websocket.ts'],
  commander: ['cli'],
  dockerode: ['environments/docker/api-engine.ts'],
  fastify: ['rendezvous', 'server/listen-websocket.ts'],
  jose: ['access/authenticator.ts', 'rendezvous/web-tokens.ts'],
  picomatch: ['file-system'],
  pino: ['telemetry/logger.ts'],
  'smol-toml': ['environments', 'rendezvous/token-file.ts'],
  'tar-stream': [
    'disk/archive-entry.ts',
    'disk/pack.ts',
    'disk/unpack.ts',
    'environments/docker/first-entry.ts',
    'environments/docker/install.ts',
  ],
  undici: ['http/send.ts'],
  ws: ['rpc/websocket-transport.ts'],
  zod: [
    'protocol',
    'cli/schema.ts',
    'client/notifications.ts',
    'client/remote-trees.ts',
    'client/rendezvous-ticket.ts',
    'config.ts',
    'environments',
    'rendezvous',
    'rpc/decode.ts',
  ],
};

/** Where a library may be named for its types. */
const libraryTypes: Readonly<Record<string, readonly string[]>> = {
  ws: ['client/dial.ts', 'rendezvous/leg.ts', 'rpc/open-web-socket.ts', 'server/listen-websocket.ts'],
};

/** Something that one file alone may do. */
const onlyIn = [
  { what: 'process.env', pattern: /\bprocess\.env\b/, file: 'config.ts' },
  { what: 'the native addon', pattern: /exec_server_native|\bcreateRequire\b/, file: 'support/native.ts' },
  { what: 'console', pattern: /\bconsole\s*\./, file: undefined },
  { what: 'a default export', pattern: /\bexport\s+default\b|\bas\s+default\b/, file: undefined },
  { what: '`export *`', pattern: /\bexport\s*\*/, file: undefined },
] as const;

const lineLimits = { src: 300, scripts: 300, test: 500, bench: 500 } as const;

interface Import {
  readonly from: string;
  readonly types: boolean;
  readonly reExport: boolean;
}

const sources = new Map(
  filesIn('src').map((file) => [file, readFileSync(path.join(root, 'src', file), 'utf8')]),
);
const imports = new Map([...sources].map(([file, text]) => [file, importsOf(text)]));
const page = readFileSync(path.join(root, 'ARCHITECTURE.md'), 'utf8');
const packageFile = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, { readonly default: string }>>;
};

describe('the import table', () => {
  test('has a row for every folder of src', () => {
    const units = new Set([...sources.keys()].map(unitOf));
    expect(new Set(Object.keys(mayImport)), 'ARCHITECTURE.md, "Imports": one row for each.').toStrictEqual(
      units,
    );
  });

  test('is the one in ARCHITECTURE.md', () => {
    const rows = Object.entries(mayImport).map(([unit, targets]) => {
      const cells = targets.map((target) => (target === 'anything' ? target : `\`${target}\``)).join(', ');
      return `| \`${unit}\` | ${cells === '' ? 'nothing of ours' : cells} |`;
    });
    // prettier fills the cells of a table with blanks.
    const plain = page.replaceAll(/ +/g, ' ');
    const missing = rows.filter((row) => !plain.includes(row));
    expect(missing, 'ARCHITECTURE.md, "Imports": these rows are not there.').toStrictEqual([]);
  });

  test('is kept by every file', () => {
    const wrong = [...sources.keys()].flatMap((file) =>
      ownImports(file)
        .filter((target) => !mayReach(unitOf(file), target))
        .map((target) => `${file} imports ${target}`),
    );
    expect(wrong, 'ARCHITECTURE.md, "Imports": the table has no place for these.').toStrictEqual([]);
  });

  test('leaves no cycle between files', () => {
    expect(findCycle(), 'ARCHITECTURE.md: no cycles.').toStrictEqual([]);
  });
});

describe('outside libraries', () => {
  test('are used in their places', () => {
    const wrong = [...imports].flatMap(([file, list]) =>
      list
        .filter(({ from }) => !isOwn(from) && !from.startsWith('node:'))
        .filter(
          ({ from, types }) => !placesOf(from, types).some((place) => [file, unitOf(file)].includes(place)),
        )
        .map(({ from }) => `${file} uses ${from}`),
    );
    expect(wrong, 'ARCHITECTURE.md, "Libraries": each has its place.').toStrictEqual([]);
  });

  test('all have a place', () => {
    const { dependencies } = packageFile;
    const homeless = Object.keys(dependencies).filter((name) => !(name in libraries));
    expect(homeless, 'ARCHITECTURE.md, "Libraries": each has its place.').toStrictEqual([]);
  });

  test('protocol uses nothing of Node', () => {
    const users = [...imports].filter(
      ([file, list]) => unitOf(file) === 'protocol' && list.some(({ from }) => from.startsWith('node:')),
    );
    expect(
      users.map(([file]) => file),
      'ARCHITECTURE.md: protocol imports zod only.',
    ).toStrictEqual([]);
  });
});

describe('files', () => {
  test.each(Object.entries(lineLimits))('of %s have at most %i lines', (folder, limit) => {
    const long = filesIn(folder)
      .map((file) => path.join(folder, file))
      .filter((file) => readFileSync(path.join(root, file), 'utf8').trimEnd().split('\n').length > limit);
    expect(long, 'ARCHITECTURE.md, "Files": split by verb or phase before a file grows on.').toStrictEqual(
      [],
    );
  });

  test.each(onlyIn)('keep $what to its place', ({ what, pattern, file }) => {
    const users = [...sources]
      .filter(([name, text]) => name !== file && pattern.test(withoutComments(text)))
      .map(([name]) => name);
    const place = file === undefined ? 'nowhere' : `only in src/${file}`;
    expect(users, `ARCHITECTURE.md, "Files": ${what} belongs ${place}.`).toStrictEqual([]);
  });

  test('re-export only where the package has an entry', () => {
    const users = [...imports]
      .filter(([file, list]) => !entries().has(file) && list.some(({ reExport }) => reExport))
      .map(([file]) => file);
    expect(users, 'ARCHITECTURE.md, "Files": no barrels but src/index.ts.').toStrictEqual([]);
  });

  test('are all in the layout of ARCHITECTURE.md', () => {
    const missing = [...sources.keys()].filter((file) => !page.includes(path.basename(file)));
    expect(missing, 'ARCHITECTURE.md, "Layout": one line for each file.').toStrictEqual([]);
  });
});

function filesIn(folder: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .toSorted();
}

/** Imports, re-exports and dynamic imports. prettier gives them one form, which is all that this has to know. */
function importsOf(text: string): Import[] {
  const code = withoutComments(text);
  const declared = code.matchAll(/^(import|export)\b([^'";]*?)\bfrom\s*'([^']+)'/gm);
  const bare = code.matchAll(/^import\s*'([^']+)'/gm);
  const dynamic = code.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g);
  return [
    ...[...declared].map(([, keyword, names = '', from = '']) => ({
      from,
      types: names.trimStart().startsWith('type '),
      reExport: keyword === 'export',
    })),
    ...[...bare, ...dynamic].map(([, from = '']) => ({ from, types: false, reExport: false })),
  ];
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');
}

/** The row of the table that a file belongs to: its folder, or itself. */
function unitOf(file: string): string {
  return file.split('/')[0] ?? file;
}

function isOwn(from: string): boolean {
  return from.startsWith('.');
}

function placesOf(library: string, types: boolean): readonly string[] {
  return [...(libraries[library] ?? []), ...(types ? (libraryTypes[library] ?? []) : [])];
}

function ownImports(file: string): string[] {
  return (imports.get(file) ?? [])
    .filter(({ from }) => isOwn(from))
    .map(({ from }) => path.join(path.dirname(file), from));
}

function mayReach(unit: string, target: string): boolean {
  const allowed = mayImport[unit] ?? [];
  if (allowed.includes('anything')) return !ends.has(target);
  return unitOf(target) === unit || allowed.includes(unitOf(target)) || allowed.includes(target);
}

/** The files of one cycle, in order; none if there is none. */
function findCycle(): string[] {
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): string[] => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
    if (done.has(file)) return [];
    for (const target of ownImports(file)) {
      const cycle = visit(target, [...trail, file]);
      if (cycle.length > 0) return cycle;
    }
    done.add(file);
    return [];
  };
  for (const file of sources.keys()) {
    const cycle = visit(file, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

/** What package.json exports, as files of src. */
function entries(): Set<string> {
  return new Set(
    Object.values(packageFile.exports).map((entry) =>
      entry.default.replace('./dist/', '').replace(/\.js$/, '.ts'),
    ),
  );
}
