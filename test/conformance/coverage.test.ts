import { expect, test } from 'vitest';

import { clientNotifications, requests, serverNotifications } from '../../src/protocol/methods.ts';
import { table as fileTable } from './files/table.ts';
import { topics } from './suite.ts';
import { parameters } from './suite/parameters.ts';
import { samples } from './suite/samples.ts';

const cases = topics.flatMap((topic) => topic.cases);
/** To refuse a method's wrong parameters says nothing of what it does. */
const telling = topics.filter((topic) => topic !== parameters).flatMap((topic) => topic.cases);

test.each([
  ['method', Object.keys(requests)],
  ['notification of the client', Object.keys(clientNotifications)],
  ['notification of the executor', Object.keys(serverNotifications)],
])('every %s of the protocol has a case', (_kind, names) => {
  // The methods of the file system have a suite of their own.
  const ofFiles = [...fileTable.map((row) => row.method), 'fs/missingChanged'];
  const covered = new Set<string>([...telling.flatMap((one) => one.covers), ...ofFiles]);
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
