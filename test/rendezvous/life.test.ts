import { readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';

import { cli, cliFolder } from '../support/cli-program.ts';
import {
  type Peer,
  ask,
  codeOf,
  connectUrl,
  dial,
  executor,
  executorUrl,
  open,
  orchestrator,
  plainExecutor,
} from '../support/rendezvous-peers.ts';
import { startService, tokenEntries, tokens } from '../support/rendezvous-tenants.ts';

const shortGraces = ['executorGraceMs=300', 'orchestratorGraceMs=300', 'returnMs=200'];

/** The service has noticed that the executor is gone. */
async function offline(url: string): Promise<void> {
  for (;;) {
    const { json } = await ask(url, '/v1/environments', { method: 'GET', token: tokens.orchestrator });
    if (!(json['environments'] as { online: boolean }[]).some(({ online }) => online)) return;
  }
}

async function textOf(peer: Peer): Promise<string> {
  const { body } = await peer.frameOf('data');
  return body.kind === 'data' ? Buffer.from(body.payload).toString() : '';
}

async function reasonOf(peer: Peer): Promise<string> {
  const { body } = await peer.frameOf('reset');
  return body.kind === 'reset' ? body.reason : '';
}

describe('a stream whose sides send again what was lost', () => {
  test('goes on over the next socket of its executor', async () => {
    await using service = await startService();
    const first = await executor(service.url, 'env', tokens.executor);
    using harness = await orchestrator(service.url, 'env', tokens.orchestrator);
    harness.openStream('s', true);
    await first.frame();
    first.sendFrame('s', { kind: 'ack' }, true);
    await harness.frameOf('ack');
    first[Symbol.dispose]();
    await offline(service.url);
    harness.sendData('s', 'while it is away', 0, true);
    using second = await executor(service.url, 'env', tokens.executor);
    expect(await textOf(second)).toBe('while it is away');
    second.sendData('s', 'back', 0, true);
    expect(await textOf(harness)).toBe('back');
  });

  test('goes on over the next socket of its orchestrator', async () => {
    await using service = await startService();
    using box = await executor(service.url, 'env', tokens.executor);
    const first = await orchestrator(service.url, 'env', tokens.orchestrator);
    first.openStream('s', true);
    await box.frame();
    box.sendFrame('s', { kind: 'ack' }, true);
    await first.frameOf('ack');
    first[Symbol.dispose]();
    using second = await orchestrator(service.url, 'env', tokens.orchestrator);
    second.openStream('s', true);
    await box.frameOf('resume');
    box.sendData('s', 'back', 0, true);
    expect(await textOf(second)).toBe('back');
  });

  test('is not told of its own end, and the executor is when the orchestrator stays away', async () => {
    await using service = await startService({ limits: shortGraces });
    using box = await executor(service.url, 'env', tokens.executor);
    const harness = await orchestrator(service.url, 'env', tokens.orchestrator);
    harness.openStream('s', true);
    await box.frame();
    box.sendFrame('s', { kind: 'ack' }, true);
    await harness.frameOf('ack');
    harness[Symbol.dispose]();
    expect(await reasonOf(box)).toBe('orchestratorGone: the orchestrator has not come back for 0.3 s');
  });

  test('ends with the word that the executor is gone when that stays away', async () => {
    await using service = await startService({ limits: shortGraces });
    const box = await executor(service.url, 'env', tokens.executor);
    using harness = await orchestrator(service.url, 'env', tokens.orchestrator);
    harness.openStream('s', true);
    await box.frame();
    box.sendFrame('s', { kind: 'ack' }, true);
    await harness.frameOf('ack');
    box[Symbol.dispose]();
    const gone = 'the executor has not come back for 0.3 s';
    expect(await reasonOf(harness)).toBe(`executorGone: ${gone}`);
    expect(await harness.closed()).toStrictEqual({ code: 4010, reason: gone });
  });

  test('survives a new start of the rendezvous', async () => {
    await using folder = await cliFolder();
    const data = ['--data', folder.at('data.db')];
    const first = await startService({ folder, args: data });
    const box = await executor(first.url, 'env', tokens.executor);
    const harness = await orchestrator(first.url, 'env', tokens.orchestrator);
    harness.openStream('s', true);
    await box.frame();
    first.child.kill('SIGKILL');
    await first.child.outcome();
    await using second = await startService({ folder, args: data });
    using boxAgain = await executor(second.url, 'env', tokens.executor);
    boxAgain.sendData('s', 'from before', 0, true);
    using harnessAgain = await orchestrator(second.url, 'env', tokens.orchestrator);
    harnessAgain.openStream('s', true);
    expect(await textOf(harnessAgain)).toBe('from before');
  });
});

describe('a stream of a peer that sends nothing again', () => {
  test('ends at once with the executor, and both kinds of orchestrators are told', async () => {
    await using service = await startService();
    const box = await executor(service.url, 'env', tokens.executor);
    using framed = await orchestrator(service.url, 'env', tokens.orchestrator);
    using plain = await orchestrator(service.url, 'env', tokens.orchestrator);
    framed.openStream('s');
    plain.webSocket.send('{"id":1}');
    await box.frameOf('data');
    box[Symbol.dispose]();
    const gone = 'its connection to the rendezvous is lost';
    expect(await reasonOf(framed)).toBe(`executorGone: ${gone}`);
    expect(await plain.closed()).toStrictEqual({ code: 4010, reason: gone });
  });

  test('ends at once with the orchestrator, and the executor is told', async () => {
    await using service = await startService();
    using box = await executor(service.url, 'env', tokens.executor);
    const harness = await orchestrator(service.url, 'env', tokens.orchestrator);
    harness.openStream('s');
    await box.frame();
    harness[Symbol.dispose]();
    expect(await reasonOf(box)).toMatch(/^orchestratorGone: /);
  });
});

describe('framings', () => {
  test('a plain orchestrator has a stream of its own at a relay executor', async () => {
    await using service = await startService();
    using box = await executor(service.url, 'env', tokens.executor);
    using harness = await orchestrator(service.url, 'env', tokens.orchestrator);
    harness.webSocket.send('{"id":1}');
    harness.webSocket.send('{"id":2}');
    const { streamId } = await box.frameOf('resume');
    const frames = [await box.frame(), await box.frame()];
    expect(frames.map((frame) => [frame.streamId, frame.body])).toMatchObject([
      [streamId, { kind: 'data', seq: 0, segmentCount: 1 }],
      [streamId, { kind: 'data', seq: 1, segmentCount: 1 }],
    ]);
    box.sendData(streamId, '{"id":1,"result":{}}');
    expect(await harness.text()).toBe('{"id":1,"result":{}}');
    box.sendFrame(streamId, { kind: 'reset', reason: 'goingAway: the executor is closing' });
    expect(await harness.closed()).toStrictEqual({ code: 1001, reason: 'the executor is closing' });
  });

  test('an orchestrator with frames is served by a plain executor', async () => {
    await using service = await startService();
    using box = await plainExecutor(service.url, 'env', tokens.executor);
    using harness = await orchestrator(service.url, 'env', tokens.orchestrator);
    harness.openStream('s');
    harness.sendData('s', '{"id":1}');
    expect(await box.text()).toBe('{"id":1}');
    box.webSocket.send('{"id":1,"result":{}}');
    box.webSocket.send('{"method":"x"}');
    const frames = [await harness.frame(), await harness.frame()];
    expect(frames.map(({ body }) => body.kind === 'data' && body.seq)).toStrictEqual([0, 1]);
    expect(box.webSocket.readyState).toBe(1);
    harness.sendFrame('s', { kind: 'reset', reason: 'normal: done' });
    expect(await box.closed()).toMatchObject({ code: 4011 });
  });

  test('a socket has one framing', async () => {
    await using service = await startService();
    using box = await executor(service.url, 'env', tokens.executor);
    using harness = await orchestrator(service.url, 'env', tokens.orchestrator);
    harness.openStream('s');
    await box.frame();
    harness.webSocket.send('{"id":1}');
    expect(await harness.closed()).toMatchObject({ code: 1002 });
  });
});

describe('executors', () => {
  test('another socket of the same principal takes the place of the first', async () => {
    await using service = await startService();
    using first = await executor(service.url, 'env', tokens.executor);
    using second = await executor(service.url, 'env', tokens.executor);
    expect(await first.closed()).toMatchObject({ code: 4001 });
    using harness = await orchestrator(service.url, 'env', tokens.orchestrator);
    harness.openStream('s');
    expect((await second.frame()).streamId).toBe('s');
  });

  test('another principal has the environment when the first has been gone for long enough', async () => {
    await using service = await startService({
      limits: [...shortGraces, 'ticketSeconds=1', 'environmentBurst=1000000'],
    });
    const first = await executor(service.url, 'env', tokens.executor);
    first[Symbol.dispose]();
    const register = async (): Promise<number> =>
      (await ask(service.url, '/cloud/environment/env/register', { token: tokens.otherExecutor })).status;
    const statuses = [await register()];
    while (statuses.at(-1) === 409 && statuses.length < 100_000) statuses.push(await register());
    expect([statuses[0], statuses.at(-1)]).toStrictEqual([409, 200]);
  });

  test('the same registration again has the same ids', async () => {
    await using service = await startService();
    const body = { idempotency_id: 'codex-exec-server-1', name: 'box', labels: {}, metadata: {} };
    const again = async (more: object = {}): Promise<unknown[]> => {
      const { json } = await ask(service.url, '/api/cloud/executor', {
        token: tokens.executor,
        body: { ...body, ...more },
      });
      return [json['id'], json['environment_id']];
    };
    const first = await again();
    expect(await again()).toStrictEqual(first);
    expect(await again({ idempotency_id: 'codex-exec-server-2' })).not.toStrictEqual(first);
    expect((await again({ environment_id: 'named' }))[1]).toBe('named');
  });

  test('each generation is answered in its own form', async () => {
    await using service = await startService();
    const post = async (path: string, body?: object, headers?: Record<string, string>): Promise<object> => {
      const { json } = await ask(service.url, path, {
        token: tokens.executor,
        body,
        ...(headers && { headers }),
      });
      return json;
    };
    const both = { 'x-exec-server-transports': 'relay_v1, direct_jsonrpc_v1', 'x-exec-server-name': 'n' };
    const url = expect.stringMatching(
      /^ws:\/\/127\.0\.0\.1:\d+\/cloud\/rendezvous\/e\?role=executor&ticket=/,
    );
    const [id, reg] = [expect.any(String), expect.stringMatching(/^reg-/)];
    expect(await post('/api/cloud/executor', { environment_id: 'e' })).toStrictEqual({
      id,
      environment_id: 'e',
      url,
    });
    expect(await post('/api/cloud/executor', { environment_id: 'e' }, both)).toMatchObject({
      transport: 'relay_v1',
    });
    expect(await post('/cloud/executor/e/register', { executor_id: 'e' })).toStrictEqual({
      id: reg,
      executor_id: 'e',
      environment_id: 'e',
      url,
    });
    expect(await post('/cloud/executor/e/register')).toStrictEqual({
      executor_id: 'e',
      environment_id: 'e',
      url,
    });
    expect(await post('/cloud/environment/e/register')).toStrictEqual({
      environment_id: 'e',
      executor_registration_id: reg,
      url,
    });
    const direct = { transport: 'direct_jsonrpc_v1', environment_id: 'e', registration_id: reg, url };
    expect(
      await post('/cloud/environment/e/direct/register', { transport: 'direct_jsonrpc_v1' }, both),
    ).toStrictEqual(direct);
    const noise = { security_profile: 'noise_hybrid_ik_v1', executor_public_key: {} };
    expect(await post('/cloud/environment/e/register', noise)).toMatchObject({
      error: { code: 'unsupported_security_profile' },
    });
  });

  test('a connect waits for one that has just gone', async () => {
    await using service = await startService({ limits: ['returnMs=20000'] });
    const first = await executor(service.url, 'env', tokens.executor);
    first[Symbol.dispose]();
    const ticket = connectUrl(service.url, 'env', tokens.orchestrator);
    using second = await executor(service.url, 'env', tokens.executor);
    using harness = await open(await ticket);
    harness.openStream('s');
    expect((await second.frame()).streamId).toBe('s');
  });

  test('without one a connect and an upgrade are refused', async () => {
    await using service = await startService({ limits: shortGraces });
    const box = await executor(service.url, 'env', tokens.executor);
    const ticket = await connectUrl(service.url, 'env', tokens.orchestrator);
    box[Symbol.dispose]();
    expect(await dial(ticket)).toStrictEqual({ status: 503, reason: 'route_unavailable' });
    const answer = await ask(service.url, '/cloud/environment/env/connect', { token: tokens.orchestrator });
    expect([answer.status, codeOf(answer)]).toStrictEqual([503, 'executor_offline']);
  });
});

describe('the end', () => {
  test('tells everybody to go elsewhere, and leaves with 0', async () => {
    await using service = await startService();
    using box = await executor(service.url, 'env', tokens.executor);
    using harness = await orchestrator(service.url, 'env', tokens.orchestrator);
    harness.openStream('s');
    await box.frame();
    service.child.kill('SIGTERM');
    for (const peer of [box, harness]) {
      expect(await peer.closed()).toStrictEqual({
        code: 1001,
        reason: 'pod_draining: this rendezvous is being stopped; connect again',
      });
    }
    expect(await service.child.outcome()).toStrictEqual({
      status: 0,
      stdout: `${service.url}\n`,
      stderr: '',
    });
  });

  test('a used ticket stays used, and an unused one stays good, over a new start', async () => {
    await using folder = await cliFolder();
    const args = ['--data', folder.at('data.db')];
    const first = await startService({ folder, args });
    const [used, unused] = [
      await executorUrl(first.url, 'env-1', tokens.executor),
      await executorUrl(first.url, 'env-2', tokens.executor),
    ];
    using box = await open(used);
    first.child.kill('SIGTERM');
    expect(await first.child.outcome()).toMatchObject({ status: 0, stderr: '' });
    await box.closed();
    expect((await stat(folder.at('data.db'))).mode & 0o777).toBe(0o600);
    await using second = await startService({ folder, args });
    const at = (url: string): string => url.replace(first.url.slice(7), second.url.slice(7));
    expect(await dial(at(used))).toStrictEqual({ status: 403, reason: 'invalid_secret' });
    using again = await open(at(unused));
    expect(again.webSocket.readyState).toBe(1);
    const { json } = await ask(second.url, '/v1/environments', { method: 'GET', token: tokens.orchestrator });
    expect(json['environments']).toMatchObject([
      { id: 'env-1', online: false },
      { id: 'env-2', online: true },
    ]);
  });

  test('a token that is taken out of the file is none after SIGHUP, and neither are its tickets', async () => {
    await using service = await startService({ args: ['--log-level', 'info'] });
    using box = await executor(service.url, 'env', tokens.executor);
    const ticket = await connectUrl(service.url, 'env', tokens.orchestrator, { reusable: true });
    const left = tokenEntries().filter((entry) => (entry as { subject: string }).subject !== 'orchestrator');
    await writeFile(service.folder.at('tokens.json'), JSON.stringify({ tokens: left }));
    service.child.kill('SIGHUP');
    await service.child.stderr.shows('tokens were read again');
    expect(await dial(ticket)).toStrictEqual({ status: 403, reason: 'invalid_secret' });
    expect(
      (await ask(service.url, '/v1/environments', { method: 'GET', token: tokens.orchestrator })).status,
    ).toBe(401);
    expect(box.waiting).toBe(0);
  });
});

describe('the command line', () => {
  test.each([
    [[], 'give --tokens, --jwt-secret-file or --jwks-file'],
    [['--unauthenticated', '--listen', 'http://0.0.0.0:0'], '--unauthenticated is for loopback addresses'],
    [['--listen', 'localhost:80'], '--listen: "localhost:80" is not http://IP:PORT'],
    [['--tokens', '/nonexistent'], 'cannot be read'],
    [['--unauthenticated', '--limit', 'x=1'], '--limit: "x=1" is not NAME=N'],
    [['--unauthenticated', '--public-url', 'ftp://x'], '--public-url must be'],
    [['--unauthenticated', '--data', '/dev/null'], 'is not a regular file'],
    [['--jwt-secret-file', 'a', '--jwks-file', 'b'], 'give one of them'],
  ])('%j does not start', async (args, text) => {
    const outcome = await cli(['rendezvous', ...args]);
    expect(outcome).toMatchObject({ status: 1, stdout: '' });
    expect(outcome.stderr).toContain(text);
  });

  test('makes tokens', async () => {
    const { stdout } = await cli(['rendezvous', 'token']);
    expect(stdout).toMatch(/^token: {2}[\w-]{43}\nsha256: [0-9a-f]{64}\n$/);
  });

  test('refuses a data file that others can read, and one that is in use', async () => {
    await using folder = await cliFolder();
    await writeFile(folder.at('open.db'), '', { mode: 0o644 });
    const shared = await cli(['rendezvous', '--unauthenticated', '--data', folder.at('open.db')]);
    expect(shared.stderr).toContain('chmod 600');
    await using service = await startService({ args: ['--data', folder.at('data.db')] });
    const second = await cli(['rendezvous', '--unauthenticated', '--data', folder.at('data.db')]);
    expect(second).toMatchObject({ status: 1, stdout: '' });
    expect(second.stderr).toContain('Another rendezvous may have it open');
    expect((await readFile(folder.at('data.db'))).length).toBeGreaterThan(0);
    expect(service.url).toMatch(/^http:/);
  });
});
