import { parseArgs } from 'node:util';
import { ALL_ROWS } from './rows/all.ts';
import type { Row } from './rows/row.ts';

export interface Options {
  /** The release to compare with; nothing means only ours. */
  readonly against: string | undefined;
  readonly rounds: number;
  readonly rows: readonly Row[];
  readonly json: string | undefined;
  readonly command: string | undefined;
}

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const USAGE = `Usage: npm run bench -- [options]

  --against reference@VERSION  also measure that release of openai/codex, fetched from npm when missing
  --rounds N                   counted rounds, after one that is not counted (default 7)
  --rows NAME,NAME             only these: ${ALL_ROWS.map((row) => row.name).join(', ')}
  --json FILE                  write every value of every round
  --command "PROGRAM ARG …"    start ours with this; --listen ws://127.0.0.1:0 is appended
  --help                       print this
`;

/** The options, or undefined when only the usage was asked for. */
export function readOptions(argv: readonly string[]): Options | undefined {
  const { values } = parse(argv);
  if (values.help) return undefined;
  const version = /^reference@(\d+\.\d+\.\d+\S*)$/u.exec(values.against ?? '')?.[1];
  if (values.against !== undefined && version === undefined) {
    throw new UsageError(`--against takes reference@VERSION, not ${values.against}`);
  }
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new UsageError('--rounds takes a positive number');
  return {
    against: version,
    rounds,
    rows: selectRows(values.rows),
    json: values.json,
    command: values.command,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        against: { type: 'string' },
        rounds: { type: 'string', default: '7' },
        rows: { type: 'string' },
        json: { type: 'string' },
        command: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function selectRows(names: string | undefined): readonly Row[] {
  if (names === undefined) return ALL_ROWS;
  const wanted = new Set(names.split(','));
  const selected = ALL_ROWS.filter((row) => wanted.delete(row.name));
  if (wanted.size > 0) throw new UsageError(`no such row: ${[...wanted].join(', ')}`);
  return selected;
}
