import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

import { z } from 'zod';

import { portOf } from '../support/reference.ts';

const requestBody = z.object({
  input: z.array(
    z.object({
      type: z.string(),
      output: z.union([z.string(), z.array(z.object({ text: z.string().optional() }))]).optional(),
    }),
  ),
  tools: z.array(z.object({ type: z.string(), name: z.string().optional() })).optional(),
});

export type RequestBody = z.infer<typeof requestBody>;

export interface ToolCall {
  readonly tool: string;
  /** Of a tool of an MCP server. */
  readonly namespace?: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** What the model hands back in one turn: text ends the conversation, a tool call continues it. */
export type Turn = ToolCall | { readonly text: string };

/** One request of the CLI, reduced to what a script decides by. */
export interface ModelRequest {
  /** The names of the tools the CLI offers. */
  readonly tools: readonly string[];
  /** The text of the newest tool output; empty in the first request. */
  readonly toolOutput: string;
  readonly body: RequestBody;
}

/**
 * Yields a turn and receives the request that follows it; what it returns is the last turn. It may wait for events in
 * between: the CLI then waits for its answer.
 */
export type Script = (first: ModelRequest) => AsyncGenerator<Turn, Turn, ModelRequest>;

export interface ScriptedModel extends AsyncDisposable {
  /** The `base_url` of a model provider. */
  readonly url: string;
  readonly requests: readonly ModelRequest[];
  /** Every tool output the CLI sent, oldest first. */
  readonly toolOutputs: readonly string[];
  /** What went wrong while the script ran; the CLI itself only sees a status 400. */
  readonly problems: readonly string[];
}

/** A model behind `POST /v1/responses` that says what a script tells it to. */
export async function startScriptedModel(script: Script): Promise<ScriptedModel> {
  const requests: ModelRequest[] = [];
  const problems: string[] = [];
  let run: ReturnType<Script> | undefined;
  let finished = false;

  const takeTurn = async (request: ModelRequest): Promise<Turn> => {
    if (finished) throw new Error('the CLI asked for another turn after the last one of the script');
    run ??= script(request);
    // A generator ignores the argument of the first next(): the script got that request as its parameter.
    const { value, done } = await run.next(request);
    finished = done === true;
    return value;
  };

  const respond = async (incoming: IncomingMessage, response: ServerResponse) => {
    const route = `${incoming.method} ${incoming.url}`;
    if (route !== 'POST /v1/responses') {
      response.writeHead(404).end();
      return;
    }
    const request = toModelRequest(requestBody.parse(JSON.parse(await readText(incoming))));
    const number = requests.push(request);
    sendTurn(response, await takeTurn(request), number);
  };

  const server = createServer((incoming, response) => {
    void respond(incoming, response).catch((error: unknown) => {
      problems.push(error instanceof Error ? error.message : String(error));
      response.writeHead(400).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${portOf(server)}/v1`,
    requests,
    problems,
    get toolOutputs() {
      return requests.slice(1).map((request) => request.toolOutput);
    },
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function toModelRequest(body: RequestBody): ModelRequest {
  const output = body.input.findLast((item) => item.type === 'function_call_output')?.output ?? '';
  return {
    body,
    tools: (body.tools ?? []).map((tool) => tool.name ?? tool.type),
    toolOutput: typeof output === 'string' ? output : output.map((part) => part.text ?? '').join(''),
  };
}

async function readText(incoming: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of incoming.setEncoding('utf8')) text += part;
  return text;
}

function sendTurn(response: ServerResponse, turn: Turn, number: number): void {
  const id = `response-${number}`;
  const item =
    'text' in turn
      ? { type: 'message', role: 'assistant', id: `message-${number}`, content: [outputText(turn.text)] }
      : {
          type: 'function_call',
          id: `function-${number}`,
          call_id: `call-${number}`,
          name: turn.tool,
          ...(turn.namespace !== undefined && { namespace: turn.namespace }),
          arguments: JSON.stringify(turn.arguments),
        };
  const usage = { input_tokens: 1, output_tokens: 1, total_tokens: 2 };
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of [
    { type: 'response.created', response: { id } },
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.completed', response: { id, usage } },
  ]) {
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  }
  response.end();
}

function outputText(text: string) {
  return { type: 'output_text', text, annotations: [] };
}
