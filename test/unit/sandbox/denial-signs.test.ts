import { describe, expect, it } from 'vitest';
import { limits } from '../../../src/protocol/limits.ts';
import { DenialSigns } from '../../../src/sandbox/denial-signs.ts';

function signsIn(...output: string[]): DenialSigns {
  const signs = new DenialSigns();
  for (const part of output) signs.add(Buffer.from(part));
  return signs;
}

const failed = { code: 1, signal: null } as const;

describe('signs of a denial', () => {
  it.each([
    'sh: 1: cannot create /x: Read-only file system',
    'cat: /x: Permission denied',
    'mount: Operation not permitted.',
    'connect: Network is unreachable',
    'READ-ONLY FILE SYSTEM',
  ])('are in %j', (text) => {
    expect(signsIn(text).denied(failed)).toBe(true);
  });

  it.each(['', 'No such file or directory', 'assertion failed', 'permission'])('are not in %j', (text) => {
    expect(signsIn(text).denied(failed)).toBe(false);
  });

  it('do not matter where the command has succeeded', () => {
    const signs = signsIn('Permission denied');
    expect(signs.denied({ code: 0, signal: null })).toBe(false);
    expect(signs.denied({ code: 0, signal: null, denials: 3 })).toBe(false);
  });

  it('are also what its launcher has refused, and the signal of a filter', () => {
    expect(signsIn().denied({ ...failed, denials: 1 })).toBe(true);
    expect(signsIn().denied({ ...failed, denials: 0 })).toBe(false);
    expect(signsIn().denied({ code: 159, signal: 'SIGSYS' })).toBe(true);
    expect(signsIn().denied({ code: 137, signal: 'SIGKILL' })).toBe(false);
  });

  it('are found where they come in parts', () => {
    expect(signsIn('permission den', 'ied').denied(failed)).toBe(true);
  });

  it('are looked for in the newest output only, of which little is kept', () => {
    const rest = 'x'.repeat(1000);
    const parts = Array.from({ length: Math.ceil(limits.denialTailBytes / rest.length) + 1 }, () => rest);
    expect(signsIn('Permission denied', ...parts).denied(failed)).toBe(false);
    expect(signsIn(...parts, 'Permission denied').denied(failed)).toBe(true);
    expect(signsIn('Permission denied', rest).denied(failed)).toBe(true);
  });
});
