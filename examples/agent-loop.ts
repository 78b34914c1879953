/**
 * A small orchestrator: lets a model edit and test a project somewhere else, and takes the result back.
 *
 *   node examples/agent-loop.ts --project DIR --task TEXT (--script calls.json | --model URL --model-name NAME)
 *     [--image debian:12-slim | --environment ID [--environments FILE]]
 *
 * `calls.json` is a list of tool calls, such as [{"tool": "run", "arguments": {"command": "make test"}}]. URL is that of an API with
 * /chat/completions, and MODEL_TOKEN its token. The work is done in a copy: on this machine, in a container of an image, or in any
 * environment of an environments.toml. Elsewhere the imports are from 'exec-server/environments'.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { dockerSource } from '../src/environments/docker/docker-source.ts';
import {
  EnvironmentManager,
  type EnvironmentProvider,
  type Turn,
  defaultProvider,
  staticProvider,
} from '../src/environments/environments.ts';
import { syncDirectory } from '../src/environments/sync/sync.ts';

interface ToolCall {
  readonly tool: string;
  readonly arguments: Readonly<Record<string, string>>;
}

/** Gets what the tools have answered since, and says what to do next; nothing: it is done. */
type Model = (answers: readonly string[]) => Promise<readonly ToolCall[]>;

const mostTurns = 50;
const mostSeconds = 120;
/** Characters of a tool's answer that a model gets: the end of a test run says most. */
const mostCharacters = 8000;

const { values: flags } = parseArgs({
  options: {
    project: { type: 'string' },
    task: { type: 'string', default: 'Make the tests pass.' },
    script: { type: 'string' },
    model: { type: 'string' },
    'model-name': { type: 'string', default: '' },
    image: { type: 'string' },
    environment: { type: 'string' },
    environments: { type: 'string' },
  },
});

const variables = process.env as Readonly<Record<string, string>>;
const project = path.resolve(flags.project ?? fail('--project is missing'));
const model = flags.script === undefined ? chatModel(flags.task) : await scriptedModel(flags.script);
await using manager = await EnvironmentManager.create(provider(), {
  local: { env: variables },
  onEvent: (event) => {
    if (event.kind === 'failed' || event.kind === 'lost') say(event.error.message);
  },
});
await work(manager);

function provider(): EnvironmentProvider {
  const { image, environments } = flags;
  if (image === undefined) return defaultProvider({ variables, path: environments });
  // The container is removed when the manager is closed.
  return staticProvider([{ id: 'container', source: dockerSource({ image, variables }) }], {
    default: 'container',
    includeLocal: false,
  });
}

/** The copy there, the conversation, and the way back. */
async function work(all: EnvironmentManager): Promise<void> {
  const environment = all.get(flags.environment);
  const client = await environment.client();
  const remote = path.posix.join('/tmp', `agent-${crypto.randomUUID()}`);
  const state = {
    directory: await mkdtemp(path.join(tmpdir(), 'agent-state-')),
    environment: environment.id,
  };
  const both = { local: project, remote, state, ignoreFiles: ['.gitignore'] };
  try {
    const { sentFiles } = await syncDirectory(client, { ...both, direction: 'up' });
    say(`${environment.id} (${environment.label}) has ${sentFiles} files of ${project}`);
    // What the model writes stays in the workspace; in a container that is not trusted with sandboxes, the container is the sandbox.
    const workspace = all.workspaces.start({
      environments: [{ environmentId: environment.id, cwd: remote }],
      sandbox: environment.kind === 'docker' ? 'danger-full-access' : 'workspace-write',
    });
    const turn = workspace.turn();
    await converse(turn, remote);
    // As the turn sees it: without what is there for its sandbox only.
    const sandbox = await turn.sandbox();
    const { sent, deleted } = await syncDirectory(client, {
      ...both,
      direction: 'down',
      delete: true,
      ...(sandbox !== undefined && { sandbox }),
    });
    say(
      `changed: ${sent.join(', ') || 'nothing'}${deleted.length > 0 ? `; removed: ${deleted.join(', ')}` : ''}`,
    );
  } finally {
    await environment.files.remove(remote, { recursive: true, force: true }).catch(() => {});
    await rm(state.directory, { recursive: true });
  }
}

async function converse(turn: Turn, root: string): Promise<void> {
  let answers: string[] = [];
  for (let round = 0; round < mostTurns; round++) {
    const calls = await model(answers);
    if (calls.length === 0) return;
    answers = [];
    for (const call of calls) {
      const answer = await carryOut(call, turn, root).catch((error: unknown) => `Failed: ${String(error)}`);
      say(`> ${call.tool} ${call.arguments['command'] ?? call.arguments['path'] ?? ''}\n${answer}`);
      answers.push(answer);
    }
  }
  fail(`the model was not done after ${mostTurns} turns`);
}

async function carryOut({ tool, arguments: given }: ToolCall, turn: Turn, root: string): Promise<string> {
  const file = path.posix.resolve(root, given['path'] ?? '.');
  switch (tool) {
    case 'run': {
      const child = await turn.start({
        argv: ['/bin/sh', '-c', given['command'] ?? ''],
        timeoutMs: mostSeconds * 1000,
      });
      let output = '';
      const decoder = new TextDecoder();
      for await (const { bytes } of child.output()) output += decoder.decode(bytes, { stream: true });
      const { exitCode } = await child.exited;
      return `${output.slice(-mostCharacters)}exit code ${exitCode}`;
    }
    case 'read':
      return Buffer.from(await turn.files().readFile(file))
        .toString()
        .slice(0, mostCharacters);
    case 'write':
      await turn.files().writeFile(file, given['text'] ?? '', { createParents: true });
      return 'written';
    default:
      return `There is no tool ${JSON.stringify(tool)}; there are run, read and write.`;
  }
}

/** Says what the file says, one call at a time, whatever comes of it. */
async function scriptedModel(file: string): Promise<Model> {
  const calls = JSON.parse(await readFile(file, 'utf8')) as ToolCall[];
  return async () => calls.splice(0, 1);
}

interface ChatMessage {
  readonly role: string;
  readonly content: string | null;
  readonly tool_call_id?: string;
  readonly tool_calls?: readonly { id: string; function: { name: string; arguments: string } }[];
}

function chatModel(task: string): Model {
  const url = flags.model ?? fail('--script or --model is missing');
  const parameters = (...names: readonly string[]) => ({
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, { type: 'string' }])),
    required: names,
  });
  const tools = [
    {
      name: 'run',
      description: 'Runs a command of a shell in the project.',
      parameters: parameters('command'),
    },
    { name: 'read', description: 'Reads a file of the project.', parameters: parameters('path') },
    { name: 'write', description: 'Writes a file of the project.', parameters: parameters('path', 'text') },
  ].map((tool) => ({ type: 'function', function: tool }));
  const messages: ChatMessage[] = [{ role: 'user', content: task }];
  let asked: readonly string[] = [];
  return async (answers) => {
    for (const [index, content] of answers.entries())
      messages.push({ role: 'tool', content, tool_call_id: asked[index] ?? '' });
    const response = await fetch(`${url.replace(/\/$/, '')}/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(variables['MODEL_TOKEN'] && { authorization: `Bearer ${variables['MODEL_TOKEN']}` }),
      },
      body: JSON.stringify({ model: flags['model-name'], messages, tools }),
    });
    if (!response.ok) fail(`the model answers ${response.status}: ${(await response.text()).slice(0, 200)}`);
    const { choices } = (await response.json()) as { choices: readonly { message: ChatMessage }[] };
    const message = choices[0]?.message ?? fail('the model has answered nothing');
    messages.push(message);
    const calls = message.tool_calls ?? [];
    if (calls.length === 0 && message.content !== null) say(message.content);
    asked = calls.map(({ id }) => id);
    return calls.map((call) => ({
      tool: call.function.name,
      arguments: JSON.parse(call.function.arguments) as ToolCall['arguments'],
    }));
  };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function fail(problem: string): never {
  throw new Error(problem);
}
