import { expect } from 'vitest';

import type { Mode, Outcome, RequestParams } from '../../support/http-exchange.ts';
import type { Origin, SeenRequest } from '../../support/http-origin.ts';

/** What is expected of a request; members that are absent are not looked at. */
export interface Expected {
  readonly status?: number;
  /** In this order; others of the answer are not looked at. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly withoutHeaders?: readonly string[];
  readonly body?: string | Buffer;
  readonly trailers?: readonly (readonly [string, string])[];
  readonly code?: number;
  /** The header comes, and then the body fails; an answer in one piece is an error. */
  readonly bodyFails?: boolean;
  /** What the origin has seen of the last request. */
  readonly seen?: (request: SeenRequest) => void;
  /** How many requests it has seen. */
  readonly requests?: number;
}

export interface Difference {
  /** Why ours is not as the reference. */
  readonly reason: string;
  /** What the reference does; absent where it is not asked. */
  readonly expected?: Expected;
}

/** One request, asked of our executor over every transport in every mode, and of the reference. */
export interface Row {
  readonly id: string;
  readonly title: string;
  readonly modes?: readonly Mode[];
  readonly params: (origin: Origin, other: Origin) => RequestParams;
  readonly expected: Expected;
  /** Ours alone: what only our executor has. */
  readonly extension?: true;
  readonly reference?: Difference;
}

export function expectOutcome(
  outcome: Outcome,
  mode: Mode,
  expected: Expected,
  seen: readonly SeenRequest[],
): void {
  const { status, headers = [], code, bodyError } = outcome;
  if (expected.code !== undefined || (expected.bodyFails === true && mode === 'buffered')) {
    expect({ code, status }, outcome.message).toEqual({ code: expected.code ?? -32603, status: undefined });
  } else {
    expect({ status, message: outcome.message }).toEqual({ status: expected.status, message: undefined });
    if (expected.bodyFails === true) expect(bodyError).toEqual(expect.any(String));
    else expect(bodyError).toBeUndefined();
    const names = new Set(expected.headers?.map(([name]) => name));
    const shown = headers.filter(({ name }) => names.has(name)).map(({ name, value }) => [name, value]);
    expect(shown).toEqual(expected.headers ?? []);
    const present = new Set(headers.map(({ name }) => name));
    expect((expected.withoutHeaders ?? []).filter((name) => present.has(name))).toEqual([]);
    if (expected.body !== undefined)
      expect(outcome.body?.toString('latin1')).toBe(expected.body.toString('latin1'));
    if (expected.trailers !== undefined) {
      expect(outcome.trailers?.map(({ name, value }) => [name, value])).toEqual(expected.trailers);
    }
  }
  if (expected.requests !== undefined) expect(seen.length).toBe(expected.requests);
  const last = seen.at(-1);
  if (expected.seen !== undefined) {
    if (last === undefined) throw new Error('The origin has seen no request.');
    expected.seen(last);
  }
}
