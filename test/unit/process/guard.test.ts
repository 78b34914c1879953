import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openGuard } from '../../../src/process/guard.ts';
import { descriptorsScarce } from '../../../src/support/descriptors.ts';
import { reapersOf } from '../../support/faults-proc.ts';
import { RunningChild } from '../../support/unit-process.ts';

describe('the guard of the children', () => {
  it('is one reaper, however often it is opened, and no child of ours', async () => {
    expect([openGuard(), openGuard()]).toEqual([true, true]);
    const [reaper, ...others] = reapersOf(process.pid);
    expect(others).toEqual([]);
    const status = await readFile(`/proc/${reaper}/status`, 'utf8');
    expect(status).not.toContain(`PPid:\t${process.pid}\n`);
  });

  it.each([false, true])(
    'has children killed before this process when memory runs out (tty %s)',
    async (tty) => {
      const own = Number(await readFile('/proc/self/oom_score_adj', 'utf8'));
      await using running = await RunningChild.start(['/bin/cat', '/proc/self/oom_score_adj'], { tty });
      await running.ended();
      expect(Number(running.text())).toBe(Math.min(1000, own + 200));
      expect(Number(await readFile('/proc/self/oom_score_adj', 'utf8'))).toBe(own);
    },
  );

  it('knows whether descriptors are left', () => {
    expect(descriptorsScarce(1)).toBe(false);
    expect(descriptorsScarce(1_000_000_000)).toBe(true);
  });
});
