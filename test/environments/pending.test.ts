import { randomUUID } from 'node:crypto';

import { afterAll, expect, test } from 'vitest';

import {
  EnvironmentManager,
  type PendingSource,
  localSource,
  pendingSource,
  staticProvider,
} from '../../src/environments/environments.ts';
import { expectNothingLeft } from '../support/conformance-leftovers.ts';
import { executorVariables } from '../support/conformance-targets.ts';

const mark = randomUUID();
const real = localSource({ env: executorVariables(mark) });
afterAll(() => expectNothingLeft(mark));

async function managerOf(pending: PendingSource): Promise<EnvironmentManager> {
  const provider = staticProvider([{ id: 'soon', source: pending.source }], {
    default: 'soon',
    includeLocal: false,
  });
  return EnvironmentManager.create(provider);
}

test('whoever comes before an environment is reachable waits for it', async () => {
  const pending = pendingSource('cloud', 'a machine that is being made');
  await using manager = await managerOf(pending);
  const environment = manager.get();
  const waiting = [environment.files.list('/'), environment.files.list('/')];
  expect(await environment.health()).toMatchObject({ status: 'opening' });
  pending.supply(real);
  for (const entries of await Promise.all(waiting)) expect(entries).not.toEqual([]);
  expect(await environment.health()).toMatchObject({ status: 'ready', sessions: 1 });
  expect(() => pending.supply(real)).toThrow('(a machine that is being made) is reached was said already.');
  expect(() => pending.fail(new Error('late'))).toThrow('was said already.');
});

test('one that will not be there fails by name, at once and later', async () => {
  const pending = pendingSource('cloud', 'a machine that is being made');
  await using manager = await managerOf(pending);
  const waiting = manager.get().files.list('/');
  pending.fail(new Error('there are no machines left'));
  const message =
    'Environment "soon" (a machine that is being made) cannot be opened: there are no machines left';
  await expect(waiting).rejects.toThrow(message);
  await expect(manager.get().files.list('/')).rejects.toThrow(message);
});

test('who waits is told when it is replaced, and when the manager is closed', async () => {
  const pending = pendingSource('cloud', 'a machine that is being made');
  await using manager = await managerOf(pending);
  const waiting = expect(manager.get().files.list('/')).rejects.toMatchObject({
    code: 'replaced',
    environmentId: 'soon',
  });
  manager.replace({ id: 'soon', source: pendingSource('cloud', 'another one').source });
  await waiting;
  const late = expect(manager.get().files.list('/')).rejects.toMatchObject({
    code: 'closed',
    environmentId: 'soon',
  });
  await manager[Symbol.asyncDispose]();
  await late;
});
