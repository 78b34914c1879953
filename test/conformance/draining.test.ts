import { randomUUID } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { ExecClient } from '../../src/client/exec-client.ts';
import { ask } from '../support/access-tokens.ts';
import { eventually, expectNothingLeft, isRunning, untilGone } from '../support/conformance-leftovers.ts';
import type { WireClient } from '../support/conformance-wire.ts';
import { startListener } from '../support/wire-listener.ts';

const mark = randomUUID();
afterAll(() => expectNothingLeft(mark));

/** Goes on until `gate` is written to it, whatever the signal. */
const stubborn = 'trap "echo told" TERM; echo ready; until read line; do :; done; exit 3';

async function openWith(client: WireClient, notifications?: string[]): Promise<string> {
  const params = { clientName: 'draining', ...(notifications === undefined ? {} : { notifications }) };
  const { sessionId } = await client.call('initialize', params);
  client.notify('initialized');
  return sessionId;
}

const announced = (client: WireClient): string[] =>
  client.texts.filter((text) => text.includes('"environment/draining"'));

describe('an executor that is told to end', () => {
  test('tells its clients, takes nothing new, and lets what runs come to its end', async () => {
    const listener = await startListener(mark);
    const [asking, plain, early] = [
      await listener.connect(),
      await listener.connect(),
      await listener.connect(),
    ];
    await openWith(asking, ['environment/draining', 'some/other']);
    const sessionId = await openWith(plain);
    const start = { argv: ['/bin/sh', '-c', stubborn], pipeStdin: true, stopGraceMs: 20_000 };
    const view = await asking.start({ processId: 'p', ...start });
    await asking.output(view, 'stdout', 'ready\n');
    const other = await plain.start({ processId: 'q', ...start });
    await plain.output(other, 'stdout', 'ready\n');

    listener.executor.process.kill('SIGTERM');
    await eventually('the notification', () => (announced(asking).length === 1 ? true : undefined));
    expect(announced(asking)).toEqual(['{"method":"environment/draining","params":{"graceMs":25000}}']);
    expect(announced(plain)).toEqual([]);
    expect(await plain.call('environment/status')).toEqual({ status: 'draining' });
    expect(await ask(listener.url, { path: '/readyz', upgrade: false })).toMatchObject({
      status: 503,
      body: 'draining',
    });
    expect(await ask(listener.url, { path: '/livez', upgrade: false })).toMatchObject({ status: 200 });

    const refusal = { code: -32011, data: { kind: 'draining' } };
    const late = await listener.connect();
    for (const client of [early, late])
      expect(await client.refused('initialize', { clientName: 'x' })).toMatchObject(refusal);
    const more = asking.startParams({ argv: ['/bin/true'] });
    expect(await asking.refused('process/start', more)).toMatchObject(refusal);

    // A session that is there can still be picked up, to see how it ends.
    plain.transport.close({ kind: 'normal', message: 'dropped' });
    await plain.closed;
    const resumed = await listener.connect();
    await eventually('the session to be free', async () => {
      const params = { clientName: 'resumed', resumeSessionId: sessionId };
      return (await resumed.request('initialize', params)).error === undefined ? true : undefined;
    });
    resumed.notify('initialized');
    await asking.output(view, 'stdout', 'ready\ntold\n');
    await resumed.call('process/write', { processId: 'q', chunk: btoa('go\n') });
    await asking.call('process/write', { processId: 'p', chunk: btoa('go\n') });
    expect((await asking.end(view)).exited).toMatchObject({ exitCode: 3, endReason: 'shutdown' });
    expect(await asking.closed).toMatchObject({ kind: 'goingAway' });
    await listener.executor.expectExit();
  });

  test('gives each process the grace that its start named, and drainMs at most', async () => {
    const listener = await startListener(mark, '--limit', 'drainMs=1500');
    const client = await listener.open();
    const argv = ['/bin/sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 600; done'];
    const hasty = await client.start({ processId: 'hasty', argv, stopGraceMs: 1 });
    const slow = await client.start({ processId: 'slow', argv, stopGraceMs: 600_000 });
    for (const view of [hasty, slow]) await client.output(view, 'stdout', 'ready\n');
    const begin = performance.now();
    listener.executor.process.kill('SIGTERM');
    await client.end(hasty);
    expect(slow.exited).toBeUndefined();
    await client.end(slow);
    expect(performance.now() - begin).toBeGreaterThan(1400);
    expect(slow.exited).toMatchObject({ signal: 'SIGKILL', endReason: 'shutdown' });
    await listener.executor.expectExit();
  });

  test('ends at once when it is told again, and nothing of it stays', async () => {
    const listener = await startListener(mark);
    const client = await listener.open();
    const argv = ['/bin/sh', '-c', 'trap "" TERM HUP; echo ready; sleep 600 & while :; do sleep 600; done'];
    const view = await client.start({ processId: 'deaf', argv, stopGraceMs: 600_000 });
    await client.output(view, 'stdout', 'ready\n');
    const { processes } = await client.call('process/list');
    const pid = processes[0]?.pid ?? 0;
    const { process: child } = listener.executor;
    const exited = new Promise((resolve) => void child.once('exit', resolve));
    child.kill('SIGTERM');
    await eventually('draining', async () =>
      (await client.call('environment/status')).status === 'draining' ? true : undefined,
    );
    expect(await isRunning(pid)).toBe(true);
    child.kill('SIGTERM');
    expect(await exited).toBe(1);
    await untilGone(pid);
    await client.closed;
  });

  test('tells the client library', async () => {
    const listener = await startListener(mark);
    const client = await ExecClient.connect({ url: listener.url });
    const child = await client.start({ argv: ['/bin/sh', '-c', stubborn], cwd: '/', pipeStdin: true });
    for await (const text of child.stdout.text()) if (text.includes('ready')) break;
    listener.executor.process.kill('SIGTERM');
    expect(await client.draining).toEqual({ graceMs: 25_000 });
    await child.write('go\n');
    expect(await child.exited).toMatchObject({ exitCode: 3, endReason: 'shutdown' });
    await client.closed;
    await listener.executor.expectExit();
  });
});
