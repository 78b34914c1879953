import { defineConfig } from 'vitest/config';

/** `group`: projects of a later group wait for those before it. */
const project = (
  name: string,
  timeout: number,
  group: number,
  more: { include?: string[]; maxWorkers?: number; env?: Record<string, string> } = {},
) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeout,
    hookTimeout: timeout,
    sequence: { groupOrder: group },
    ...more,
  },
});

export default defineConfig({
  test: {
    // CI runs on machines that others use, where a deadline can pass for no fault of ours. The report names what passed at the second try only.
    retry: process.env['CI'] === 'true' ? 1 : 0,
    projects: [
      project('unit', 20_000, 0, { include: ['test/unit/**/*.test.ts', 'test/*.test.ts'], maxWorkers: 2 }),
      project('conformance', 60_000, 0, { maxWorkers: 2 }),
      project('sandbox', 60_000, 0, { maxWorkers: 2 }),
      // One after the other, and with the machine to themselves: they load it as far as it goes.
      project('faults', 180_000, 1, { maxWorkers: 1 }),
      // The conformance cases that meet an executor over a WebSocket once more, by a road on which everything comes late and in pieces.
      project('chaos', 120_000, 2, {
        include: ['websocket', 'replay', 'client', '*/websocket', 'search/transports'].map(
          (file) => `test/conformance/${file}.test.ts`,
        ),
        maxWorkers: 2,
        env: { EXEC_SERVER_TEST_ROAD: 'chaos' },
      }),
      project('environments', 240_000, 2, { maxWorkers: 2 }),
      // The conformance cases once more, by way of a rendezvous; and what happens when that or a leg of it goes.
      project('rendezvous', 120_000, 2, { maxWorkers: 2 }),
      project('soak', 180_000, 2, { maxWorkers: 1 }),
      project('interop', 240_000, 2, { maxWorkers: 1 }),
      project('container', 240_000, 3, { maxWorkers: 1 }),
    ],
  },
});
