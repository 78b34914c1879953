import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

/** Makes garbage of which a little is in use whenever it is collected, and prints the MiB of the young generation at its largest. */
const program = `
import { getHeapSpaceStatistics } from 'node:v8';
const { tuneCollector } = await import(process.argv[1]);
if (process.argv[2] === 'tuned') tuneCollector();
const used = [];
let most = 0;
for (let turn = 0; turn < 1500; turn++) {
  for (let at = 0; at < 3000; at++) used[(turn * 3000 + at) % 20000] = { turn, text: ['x', at] };
  const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
  most = Math.max(most, young.space_size / 1024 / 1024);
  await new Promise(setImmediate);
}
console.log(most);
`;

async function mostYoungMiB(how: 'tuned' | 'as it is'): Promise<number> {
  const module = new URL('../../../src/support/collector.ts', import.meta.url).href;
  const args = ['--input-type=module', '--eval', program, module, how];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 15_000 });
  return Number(stdout);
}

describe('tuneCollector', () => {
  it('lets the young generation grow to 16 MiB, and not beyond but for some pages while the old one is marked', async () => {
    const most = await mostYoungMiB('tuned');
    expect(most).toBeGreaterThanOrEqual(16);
    expect(most).toBeLessThan(24);
  });

  it('is what keeps it from growing on, and does not keep the process', async () => {
    expect(await mostYoungMiB('as it is')).toBeGreaterThan(32);
  });
});
