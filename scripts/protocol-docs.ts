import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { EnvironmentInfo } from '../src/protocol/environment.ts';
import { errorCodes } from '../src/protocol/errors.ts';
import { limits } from '../src/protocol/limits.ts';
import { SandboxContextParam } from '../src/protocol/sandbox.ts';
import { clientNotifications, requests, serverNotifications } from '../src/protocol/methods.ts';
import { type CloseReason, closeCodes } from '../src/rpc/transport.ts';
import { preamble } from './protocol-preamble.ts';

/** Writes docs/protocol.md from the protocol table: `node scripts/protocol-docs.ts`. */
export const docsFile = new URL('../docs/protocol.md', import.meta.url);

/** What every row of the table has; requests have more. */
interface Row {
  readonly params: z.ZodType;
  readonly result?: z.ZodType;
  readonly gate?: string;
  readonly replay?: string;
  readonly extension?: true;
  readonly summary: string;
}

/** The parts of a JSON Schema that zod makes from our rows. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
}

const closings: Readonly<Record<CloseReason['kind'], string>> = {
  normal: 'One side is done: the client closed the connection, or the input of a stdio executor ended.',
  goingAway: 'The executor is shutting down.',
  protocolError:
    'The other side broke the protocol: an unknown notification, `initialized` before `initialize` has succeeded, an answer to a ' +
    'request that was never sent, or a frame that is no WebSocket frame.',
  notText: 'A WebSocket text frame was not UTF-8.',
  policyViolation: 'The handshake was not done within `handshakeMs`.',
  tooBig: 'A message was longer than `messageBytes`.',
  internalError: 'Not sent by this release; understood from other executors.',
  displaced:
    'The session was resumed on another connection with its secret. A client does not come back by itself: another one has the session.',
  executorGone: 'At a rendezvous: the executor has gone and did not come back in time.',
  orchestratorGone: 'At a rendezvous: the client has gone and did not come back in time.',
  lost: 'The connection broke without a word: no Close frame, a pipe that failed, or no sign of life (then 1001 is sent, in case that somebody hears it).',
};

export function protocolDocs(): string {
  const parts = [
    preamble,
    '## Methods',
    methodIndex(),
    ...Object.entries(requests).map(([name, row]) => method(name, row)),
    '## Notifications from the client',
    ...Object.entries(clientNotifications).map(([name, row]) => notification(name, row)),
    '## Notifications from the executor',
    ...Object.entries(serverNotifications).map(([name, row]) => notification(name, row)),
    '## Sandbox',
    'The member `sandbox` of every method that starts a process or takes a path. Members that are not listed are ignored.',
    membersOf(schemaOf(SandboxContextParam)),
    '## Error codes',
    errorTable(),
    '## Close reasons',
    table(
      ['Reason', 'WebSocket code', 'When'],
      Object.entries(closings).map(([kind, text]) => [code(kind), closeCode(kind), text]),
    ),
    '## Limits',
    limitTable(),
  ];
  return `${parts.join('\n\n')}\n`;
}

function methodIndex(): string {
  const rows = Object.entries<Row>(requests).map(([name, row]) => [
    `[${code(name)}](#${anchor(name)})`,
    row.summary,
    row.gate ?? '',
    row.replay ?? '',
    row.extension ? 'yes' : '',
  ]);
  return [
    'Gate: `connection` methods may be called at once, `session` methods once `initialized` is sent. Extensions are not part of the ' +
      'protocol of the codex executor; `environmentInfo.capabilities.execServer.methods` names what an executor answers.',
    'Replay: what a client may do with a call whose connection was lost before the answer. `safe`: call again. `once`: call again with the ' +
      'same `startId` or `writeId`, by which the executor recognises it. `never`: whether it was carried out is unknown, so look. `bound`: ' +
      'it belonged to the connection and has ended with it.',
    table(['Method', 'What it does', 'Gate', 'Replay', 'Extension'], rows),
  ].join('\n\n');
}

function method(name: string, row: Row): string {
  const parts = [`### ${name}`, row.summary, '**Params**', paramsOf(row.params)];
  if (row.result !== undefined) parts.push('**Result**', membersOf(schemaOf(row.result)));
  return parts.join('\n\n');
}

function notification(name: string, row: Row): string {
  const mark = row.extension ? ' An extension.' : '';
  return [`### ${name} (notification)`, row.summary + mark, '**Params**', paramsOf(row.params)].join('\n\n');
}

function paramsOf(params: z.ZodType): string {
  const schema = schemaOf(params);
  const absent = params.safeParse(undefined).success;
  const object = schema.anyOf?.find((part) => part.type === 'object') ?? schema;
  if (object.type === undefined) return 'Anything; nothing is read from them.';
  if (Object.keys(object.properties ?? {}).length === 0) return 'None: absent, `null` or `{}`.';
  return absent ? `May be absent or \`null\`.\n\n${membersOf(object)}` : membersOf(object);
}

function schemaOf(schema: z.ZodType): Schema {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema;
}

/** Objects that many methods have: described once, where the link leads. */
const shared: readonly { readonly members: string; readonly text: string }[] = [
  {
    members: JSON.stringify(schemaOf(EnvironmentInfo).properties),
    text: 'As the result of [environment/info](#environmentinfo).',
  },
  {
    members: JSON.stringify(schemaOf(SandboxContextParam).properties),
    text: 'What the operation may touch, as under [Sandbox](#sandbox). Absent or null: everything.',
  },
];

function membersOf(schema: Schema): string {
  const rows = memberRows(schema, '');
  if (rows.length === 0) return 'An empty object.';
  return table(['Name', 'Type', 'Required', 'Default', 'Description'], rows);
}

/** One row a member; members of members follow with their path, `[]` standing for each item of an array. */
function memberRows(schema: Schema, prefix: string): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const object = objectIn(member);
    const known = shared.find(({ members }) => members === JSON.stringify(object?.schema.properties));
    const description = known?.text ?? escape(describe(member) ?? '');
    const row = [
      code(prefix + name),
      typeOf(member),
      schema.required?.includes(name) ? 'yes' : 'no',
      member.default === undefined ? '' : code(JSON.stringify(member.default)),
      description,
    ];
    if (object === undefined || known !== undefined) return [row];
    return [row].concat(memberRows(object.schema, `${prefix}${name}${object.suffix}.`));
  });
}

/** The object whose members are worth rows of their own: the member itself, the item of an array, the part that is not null. */
function objectIn(schema: Schema): { schema: Schema; suffix: string } | undefined {
  if (schema.properties !== undefined && Object.keys(schema.properties).length > 0)
    return { schema, suffix: '' };
  const inner = schema.anyOf?.map(objectIn).find((found) => found !== undefined);
  if (inner !== undefined) return inner;
  const item = schema.items && objectIn(schema.items);
  return item && { schema: item.schema, suffix: `[]${item.suffix}` };
}

function describe(schema: Schema): string | undefined {
  return schema.description ?? schema.anyOf?.map(describe).find((text) => text !== undefined);
}

function typeOf(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => code(JSON.stringify(value))).join(', ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ');
  const type = schema.type ?? 'any';
  switch (type) {
    case 'array':
      return `array of ${plural(typeOf(schema.items ?? {}))}`;
    case 'integer':
    case 'number':
      return type + range(schema);
    case 'object':
      return schema.properties === undefined && typeof schema.additionalProperties === 'object'
        ? `map of ${plural(typeOf(schema.additionalProperties))}`
        : 'object';
    case 'string':
      return schema.maxLength === undefined
        ? 'string'
        : `string of at most ${number(schema.maxLength)} characters`;
    default:
      return typeof type === 'string' ? type : type.join(' or ');
  }
}

function plural(type: string): string {
  return type.startsWith('string') || type === 'object' ? type.replace(/^(string|object)/, '$1s') : type;
}

/** Bounds that somebody chose: those of every JSON integer are left out. */
function range({ minimum, maximum }: Schema): string {
  const low = minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? undefined : number(minimum);
  const high = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? undefined : number(maximum);
  if (low !== undefined && high !== undefined) return ` ${low}–${high}`;
  if (low !== undefined) return ` ≥ ${low}`;
  return high === undefined ? '' : ` ≤ ${high}`;
}

function errorTable(): string {
  const reasons = docComments('../src/protocol/errors.ts');
  const rows = Object.entries(errorCodes).map(([name, value]) => [
    String(value),
    code(name),
    reasonFor(reasons, name),
  ]);
  return table(['Code', 'Name', 'When'], rows);
}

function limitTable(): string {
  const files = ['../src/protocol/limits.ts', '../src/protocol/rendezvous-limits.ts'];
  const reasons = new Map(files.flatMap((file) => Array.from(docComments(file))));
  const rows = Object.entries(limits).map(([name, value]) => [
    code(name),
    quantity(name, value),
    reasonFor(reasons, name),
  ]);
  return table(['Name', 'Value', 'Of what, and why'], rows);
}

function quantity(name: string, value: number): string {
  if (name.endsWith('Bytes')) {
    const units = ['bytes', 'KiB', 'MiB', 'GiB'];
    const power = units.findLastIndex((_, exponent) => value % 1024 ** exponent === 0);
    return `${number(value / 1024 ** power)} ${units[power]}`;
  }
  if (name.endsWith('Ms')) return value % 1000 === 0 ? `${number(value / 1000)} s` : `${number(value)} ms`;
  return number(value);
}

/** The doc comments of a source file by the name of the member below each; one stands for all members up to the next comment. */
function docComments(file: string): Map<string, string> {
  const source = readFileSync(new URL(file, import.meta.url), 'utf8');
  const comments = new Map<string, string>();
  let current = '';
  for (const [, text, name] of source.matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/|^ {2}(\w+):/gm)) {
    if (text !== undefined) current = text.replace(/\s*\n\s*\* ?/g, ' ').trim();
    else if (name !== undefined) comments.set(name, current);
  }
  return comments;
}

function reasonFor(reasons: ReadonlyMap<string, string>, name: string): string {
  const reason = reasons.get(name);
  if (reason === undefined) throw new Error(`${name} has no doc comment to take its description from.`);
  return escape(reason);
}

function closeCode(kind: string): string {
  return kind in closeCodes ? String(closeCodes[kind as keyof typeof closeCodes]) : 'none';
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  // A column that no row fills says nothing.
  const used = head.map((_, column) => rows.some((row) => row[column] !== ''));
  const line = (cells: readonly string[]): string =>
    `| ${cells
      .filter((_, column) => used[column])
      .map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' '))
      .join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Plain text as Markdown; what stands in backquotes is code already. */
function escape(text: string): string {
  return text.replace(/`[^`]*`|[*_<]/g, (part) => (part.length > 1 ? part : `\\${part}`));
}

function code(text: string): string {
  return `\`${text}\``;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

function anchor(heading: string): string {
  return heading.toLowerCase().replace(/[^a-z0-9 -]/g, '');
}

if (import.meta.main) writeFileSync(docsFile, protocolDocs());
