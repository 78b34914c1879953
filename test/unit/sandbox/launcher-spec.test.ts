import { describe, expect, it } from 'vitest';
import { commandEntries, encodeSpec } from '../../../src/sandbox/launcher-spec.ts';
import type { NativeSpec } from '../../../src/support/native.ts';

const strings = (...items: string[]): Buffer => Buffer.from(items.map((item) => `${item}\0`).join(''));

const command: NativeSpec = {
  candidates: strings('/bin/tool', '/usr/bin/tool'),
  argv: strings('tool', '', '-x', 'a b\nc'),
  env: strings('A=1', 'EMPTY=', 'TWO=a=b'),
  cwd: strings('/w'),
  pipeStdin: 1,
  rows: 0,
  cols: 0,
};

describe('what the launcher reads', () => {
  it('is keys and values in turn, each ended by a NUL', () => {
    const spec = encodeSpec([
      ['candidate', '/bin/sh'],
      ['arg', ''],
      ['cwd', Buffer.from([0x2f, 0xff])],
    ]);
    expect(spec).toEqual(Buffer.from('candidate\0/bin/sh\0arg\0\0cwd\0/\xff\0', 'latin1'));
    expect(encodeSpec([])).toEqual(Buffer.alloc(0));
  });

  it('has the command in its order, empty arguments included', () => {
    expect(commandEntries(command).map(([key, value]) => `${key} ${value.toString()}`)).toEqual([
      'candidate /bin/tool',
      'candidate /usr/bin/tool',
      'arg tool',
      'arg ',
      'arg -x',
      'arg a b\nc',
      'env A=1',
      'env EMPTY=',
      'env TWO=a=b',
      'cwd /w',
    ]);
  });

  it('says of a terminal that there is one', () => {
    expect(commandEntries({ ...command, rows: 24, cols: 80 }).at(-1)).toEqual(['tty', '1']);
  });

  it('has no variables where there are none, and bytes as they are', () => {
    const bytes = Buffer.from([0x41, 0x3d, 0xff, 0]);
    const keys = commandEntries({ ...command, env: Buffer.alloc(0) }).map(([key]) => key);
    expect(keys).not.toContain('env');
    expect(commandEntries({ ...command, env: bytes }).find(([key]) => key === 'env')?.[1]).toEqual(
      bytes.subarray(0, 3),
    );
  });
});
