import { expect } from 'vitest';

import { type Method, requests } from '../../../src/protocol/methods.ts';
import type { Topic } from '../case.ts';
import { samples } from './samples.ts';

const methods = Object.keys(samples) as Method[];
const gated = methods.filter((method) => requests[method].gate === 'session');

export const parameters: Topic = {
  name: 'parameters and gates',
  cases: [
    {
      id: 'PAR-1',
      title: 'wrong parameters are refused before the handshake is looked at',
      covers: methods,
      run: async (context) => {
        const client = await context.connect();
        for (const method of methods) {
          for (const params of samples[method]?.bad ?? []) {
            const shown = `${method} ${JSON.stringify(params)?.slice(0, 200)}`;
            const error = await client.refused(method, params);
            expect(error.code, shown).toBe(-32602);
            expect(error.message, shown).toMatch(/^params/);
          }
        }
      },
    },
    {
      id: 'PAR-2',
      title: 'no method but initialize may be called before it',
      covers: gated,
      run: async (context) => {
        const client = await context.connect();
        for (const method of gated) {
          expect(await client.refused(method, samples[method]?.good)).toEqual({
            code: -32600,
            message: `client must call initialize before using ${method}`,
          });
        }
      },
    },
    {
      id: 'PAR-3',
      title: 'no method may be called between initialize and initialized',
      covers: gated,
      run: async (context) => {
        const client = await context.connect();
        await client.call('initialize', { clientName: 'conformance' });
        for (const method of gated) {
          expect(await client.refused(method, samples[method]?.good)).toEqual({
            code: -32600,
            message: `client must send initialized before using ${method}`,
          });
        }
        client.notify('initialized');
        expect(await client.call('process/list', { includeClosed: true })).toEqual({ processes: [] });
      },
    },
    {
      id: 'PAR-4',
      title: 'an unknown method is -32601 wherever the conversation stands',
      covers: ['initialize', 'initialized'],
      run: async (context) => {
        const client = await context.connect();
        const expectUnknown = async (): Promise<void> => {
          for (const method of ['foo/bar', 'initialized', 'process/kill', '', '__proto__', 'toString'])
            expect((await client.refused(method, { any: 1 })).code, method).toBe(-32601);
        };
        await expectUnknown();
        await client.call('initialize', { clientName: 'conformance' });
        await expectUnknown();
        client.notify('initialized');
        await expectUnknown();
      },
    },
    {
      id: 'PAR-5',
      title: 'a method without parameters takes none, null and an empty object',
      covers: ['environment/info', 'environment/status', 'process/list'],
      run: async (context) => {
        const client = await context.open();
        for (const method of ['environment/info', 'environment/status', 'process/list'] as const) {
          for (const params of ['', ',"params":null', ',"params":{}']) {
            const answer = await client.ask(`{"id":"n","method":"${method}"${params}}`, '"n"');
            expect(answer.error, method).toBeUndefined();
          }
        }
      },
    },
    {
      id: 'PAR-6',
      title: 'wrong parameters in an open session start nothing and change nothing',
      covers: methods,
      run: async (context) => {
        const client = await context.open();
        for (const method of methods) {
          for (const params of samples[method]?.bad ?? [])
            expect((await client.refused(method, params)).code).toBe(-32602);
        }
        expect(await client.call('process/list', { includeClosed: true })).toEqual({ processes: [] });
      },
    },
    {
      id: 'PAR-7',
      title: 'an error names the wrong member and repeats nothing of its value',
      covers: ['process/write'],
      run: async (context) => {
        const client = await context.open();
        const error = await client.refused('process/write', { processId: 'p', chunk: 'pass-word!' });
        expect(error.message).toContain('params.chunk');
        expect(error.message).not.toContain('pass-word');
      },
    },
  ],
};
