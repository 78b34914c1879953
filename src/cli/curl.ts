import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { HttpRequestOptions, HttpResponse } from '../client/exec-client.ts';
import { ConfigError } from '../config.ts';
import { type TargetFlags, openTarget } from './target.ts';

export interface CurlFlags extends TargetFlags {
  readonly request?: string;
  readonly header?: readonly string[];
  readonly data?: string;
  readonly include?: boolean;
  readonly location?: boolean;
  readonly fail?: boolean;
  readonly output?: string;
  readonly maxTime?: number;
  readonly unixSocket?: string;
}

/** As curl has it for --fail. */
const statusFailed = 22;

/** Makes one HTTP request from inside the environment, and writes the body of its answer. Answers the exit status. */
export async function curl(url: string, flags: CurlFlags): Promise<number> {
  const { data, output } = flags;
  const headers = (flags.header ?? []).map(parseHeader);
  const body = data === undefined ? undefined : await bodyOf(data);
  if (body !== undefined && !headers.some(({ name }) => name.toLowerCase() === 'content-type')) {
    headers.push({ name: 'content-type', value: 'application/x-www-form-urlencoded' });
  }
  await using target = await openTarget(flags);
  // An answer may come before the input has ended, which would keep this process alive.
  using _input = { [Symbol.dispose]: () => void (data === '@-' && process.stdin.destroy()) };
  const response = await target.client.http.request({
    url,
    method: flags.request ?? (body === undefined ? 'GET' : 'POST'),
    headers,
    redirectPolicy: flags.location === true ? 'follow' : 'stop',
    ...(body !== undefined && { body }),
    ...(flags.maxTime !== undefined && { timeoutMs: Math.ceil(flags.maxTime * 1000) }),
    ...(flags.unixSocket !== undefined && { unixSocket: flags.unixSocket }),
  });
  if (flags.fail === true && response.status >= 400) {
    response.cancel();
    process.stderr.write(`exec-server: the answer has status ${response.status}\n`);
    return statusFailed;
  }
  const content = Readable.from(answerParts(response, flags.include === true), { objectMode: false });
  if (output === undefined) {
    await pipeline(content, process.stdout, { end: false });
  } else {
    const file = await open(output, 'w');
    await pipeline(content, file.createWriteStream());
  }
  return 0;
}

async function* answerParts(response: HttpResponse, include: boolean): AsyncGenerator<Uint8Array, void> {
  if (include) {
    const lines = response.headers.map(({ name, value }) => `${name}: ${value}\n`);
    yield Buffer.from(`HTTP/1.1 ${response.status}\n${lines.join('')}\n`);
  }
  yield* response.body;
}

function parseHeader(text: string): { name: string; value: string } {
  const colon = text.indexOf(':');
  if (colon <= 0) throw new ConfigError(`-H ${text}: a header is "name: value"`);
  return { name: text.slice(0, colon).trim(), value: text.slice(colon + 1).trim() };
}

/** `@file` is sent as it is read, `@-` is standard input; anything else is the body itself. */
async function bodyOf(data: string): Promise<NonNullable<HttpRequestOptions['body']>> {
  if (!data.startsWith('@')) return Buffer.from(data);
  const name = data.slice(1);
  if (name === '-') return process.stdin;
  // Found out before anything is sent.
  await (await open(name, 'r')).close();
  return createReadStream(name);
}
