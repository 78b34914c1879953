import { createHash, randomUUID } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';

import { type ConnectionEvent, ExecClient } from '../../src/client/exec-client.ts';
import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { TestRendezvous } from '../support/rendezvous-process.ts';
import { type Framing, startDialledExecutor } from '../support/rendezvous-target.ts';
import { within } from '../support/faults-proc.ts';

const mark = randomUUID();
afterAll(() => expectNothingLeft(mark));

const bursts = 60;
const lines = 4000;

/** What the program below writes, one burst as every other. */
function expected(): string {
  const burst = Array.from({ length: lines }, (_, index) => `${index + 1}\n`).join('');
  const hash = createHash('sha256');
  for (let number = 0; number < bursts; number++) hash.update(burst);
  return hash.digest('hex');
}

describe.each([
  { framing: 'relay', data: false },
  { framing: 'relay', data: true },
  { framing: 'direct', data: false },
] satisfies { framing: Framing; data: boolean }[])(
  'a rendezvous that is killed and started again (framing $framing, registrations kept: $data)',
  ({ framing, data }) => {
    test('loses no output of a process and no input to it', async () => {
      await using rendezvous = await TestRendezvous.start({ data });
      const executor = await startDialledExecutor(rendezvous, mark, {}, framing);
      try {
        const events: ConnectionEvent[] = [];
        await using client = await ExecClient.connect(executor.address, {
          onConnection: (event) => events.push(event),
        });
        const script = `for i in $(seq ${bursts}); do seq ${lines}; sleep 0.05; done; read line; echo "$line" >&2; exit 3`;
        const argv = ['/bin/sh', '-c', script];
        const child = await client.start({ argv, cwd: '/', pipeStdin: true });
        const errors = child.stderr.collect();
        const hash = createHash('sha256');
        let bytes = 0;
        let killed = 0;
        for await (const chunk of child.stdout) {
          hash.update(chunk);
          bytes += chunk.length;
          // Twice, in the middle of the output.
          if (killed >= 2 || bytes < (killed + 1) * 300_000) continue;
          killed += 1;
          await rendezvous.kill();
          await rendezvous.restart();
          if (killed === 2) await child.write('heard\n');
        }
        expect(killed).toBe(2);
        expect(hash.digest('hex')).toBe(expected());
        expect((await errors).toString()).toBe('heard\n');
        expect(await child.exited).toMatchObject({ exitCode: 3 });
        expect((await within(10_000, 'the end of the process', child.closed)).complete).toBe(true);
        // A relay stream carries on by itself: the session has not noticed.
        if (framing === 'relay') expect(events).toEqual([]);
        else expect(events.map(({ kind }) => kind).slice(0, 2)).toEqual(['disconnected', 'reconnected']);
      } finally {
        await executor.ended();
      }
    });
  },
);
