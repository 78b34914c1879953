import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { ownVariables } from '../../src/config.ts';
import { dockerSource, sshSource } from '../../src/environments/environments.ts';
import type { Case } from '../conformance/case.ts';
import { fileSuite } from '../conformance/files/suite.ts';
import { processTopics } from '../conformance/suite.ts';
import { processOutput } from '../conformance/suite/process-output.ts';
import { runTopics } from '../conformance/topics.ts';
import { docker } from '../support/docker.ts';
import {
  type TestContainer,
  dockerKind,
  hasDocker,
  idleContainer,
  imageWithoutNode,
  preparationMs,
  showingEverything,
} from '../support/environments-docker.ts';
import { testBundle } from '../support/environments-bundle.ts';
import { type SshServer, hasSsh, sshServer } from '../support/environments-ssh.ts';
import { manage, managedTarget } from '../support/environments-targets.ts';

const available = (await hasDocker()) && (await hasSsh());

describe.skipIf(!available)('a container behind a machine over ssh', () => {
  let container: TestContainer | undefined;
  let server: SshServer | undefined;
  let bundle = '';

  beforeAll(async () => {
    bundle = await testBundle();
    container = await idleContainer(await imageWithoutNode(), showingEverything);
    server = await sshServer();
  }, preparationMs);

  afterAll(async () => {
    await container?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  const machine = () => {
    if (server === undefined) throw new Error('There is no server of ssh.');
    const { folder, options } = server;
    return {
      id: 'machine',
      source: sshSource({ ...options, install: true, folder: `${folder}/cache`, bundle }),
    };
  };
  const kind = dockerKind(() => container?.name ?? '', 'machine');
  const target = managedTarget({
    ...kind,
    reach: async (mark, options) => ({ ...(await kind.reach(mark, options)), others: [machine()] }),
  });
  // Those that force a gap: here there is none, because the journal of the machine has room for what that of the container would drop.
  const forced = (one: Case): boolean => one.covers.includes('process/gap');
  const output = { ...processOutput, cases: processOutput.cases.filter((one) => !forced(one)) };
  const processes = processTopics.with(processTopics.indexOf(processOutput), output);
  runTopics('processes', processes, target);
  fileSuite(target);

  test('a container is created there, and removed', async () => {
    const label = { 'exec-server-test': 'nested' };
    const list = async (): Promise<string> =>
      docker('ps', '--all', '--quiet', '--filter', 'label=exec-server-test=nested');
    const image = await imageWithoutNode();
    const source = dockerSource({ image, labels: label, via: 'machine', bundle, variables: ownVariables() });
    await using managed = await manage(source, { connectTimeoutMs: 60_000 }, [machine()]);
    const started = await managed.manager.get().processes.start({ argv: ['/bin/echo', 'hello'], cwd: '/' });
    expect((await started.stdout.collect()).toString()).toBe('hello\n');
    expect(await list()).not.toBe('');
    await managed.manager[Symbol.asyncDispose]();
    expect(await list()).toBe('');
  });

  test.each([
    [
      'no container',
      { container: 'no-such' },
      /"there" \(a container inside "machine"\).*there is no container "no-such"/,
    ],
    [
      'no engine',
      { image: 'x', engine: 'unix:///no/such.sock' },
      /engine of environment "machine" cannot be reached/,
    ],
  ])('an error names the hop: %s', async (_what, options, message) => {
    const source = dockerSource({ ...options, via: 'machine', bundle, variables: ownVariables() });
    await using managed = await manage(source, {}, [machine()]);
    await expect(managed.manager.get().client()).rejects.toThrow(message);
  });

  test('an error names the hop: no machine', async () => {
    const away = sshSource({ host: '127.0.0.1', port: 1, variables: ownVariables() });
    const source = dockerSource({ container: 'x', via: 'machine', bundle, variables: ownVariables() });
    await using managed = await manage(source, {}, [{ id: 'machine', source: away }]);
    await expect(managed.manager.get().client()).rejects.toThrow(
      /"there" .*"machine" \(a machine over ssh\).*ssh does not reach "127\.0\.0\.1"/,
    );
  });
});
