import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';

import { clientNotifications, requests, serverNotifications } from '../../src/protocol/methods.ts';
import { table as fileTable } from './files/table.ts';
import { topics } from './suite.ts';
import { parameters } from './suite/parameters.ts';
import { samples } from './suite/samples.ts';

const cases = topics.flatMap((topic) => topic.cases);
/** To refuse a method's wrong parameters says nothing of what it does. */
const telling = topics.filter((topic) => topic !== parameters).flatMap((topic) => topic.cases);

/** Suites that are no lists of cases: what they call or wait for stands in their sources. */
const ownSuites = ['files', 'http', 'search', 'transfer', 'watch'];

function namesIn(suite: string): string[] {
  const own = new URL(`./${suite}/`, import.meta.url);
  const support = new URL('../support/', import.meta.url);
  const files = [
    ...readdirSync(own).map((file) => new URL(file, own)),
    ...readdirSync(support)
      .filter((file) => file.startsWith(`${suite}-`))
      .map((file) => new URL(file, support)),
  ];
  const sources = files.map((file) => readFileSync(file, 'utf8'));
  return sources.flatMap((source) => source.match(/(?<=')(fs|stream|http)\/\w+(\/\w+)?(?=')/g) ?? []);
}

test.each([
  ['method', Object.keys(requests)],
  ['notification of the client', Object.keys(clientNotifications)],
  ['notification of the executor', Object.keys(serverNotifications)],
])('every %s of the protocol has a case', (_kind, names) => {
  const covered = new Set<string>([
    ...telling.flatMap((one) => one.covers),
    ...fileTable.map((row) => row.method),
    ...ownSuites.flatMap(namesIn),
    // Every case of the watch suite lives on it, without a need to name it.
    'fs/changed',
  ]);
  expect(names.filter((name) => !covered.has(name))).toEqual([]);
});

test('every case has an id of its own', () => {
  const ids = cases.map((one) => one.id);
  expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
});

test('every case has a title of its own', () => {
  const titles = cases.map((one) => one.title);
  expect(titles.filter((title, index) => titles.indexOf(title) !== index)).toEqual([]);
});

test('every method has samples of right and wrong parameters', () => {
  expect(Object.keys(requests).filter((method) => !Object.hasOwn(samples, method))).toEqual([]);
});
