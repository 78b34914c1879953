import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';

import { ExecClient } from '../../src/client/exec-client.ts';
import { succeeds } from '../support/docker.ts';

export interface Container extends AsyncDisposable {
  readonly name: string;
  readonly client: ExecClient;
}

/** A container whose executor speaks over the standard streams of `docker run`, with these options of it. */
export async function startContainer(image: string, options: readonly string[] = []): Promise<Container> {
  const name = `exec-server-test-${randomUUID()}`;
  const args = ['run', '--rm', '--interactive', '--name', name, ...options, image];
  const client = await ExecClient.connect(
    { command: { program: 'docker', args } },
    { connectTimeoutMs: 60_000 },
  );
  return {
    name,
    client,
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await succeeds('docker', 'rm', '--force', name);
    },
  };
}

export interface Doctor {
  readonly status: number;
  readonly report: {
    readonly host: Readonly<Record<'launcher' | 'bubblewrap' | 'landlock', { readonly usable: boolean }>>;
    readonly profiles: Readonly<Record<string, { readonly enforced: boolean; readonly enforcer?: string }>>;
  };
}

/** What `exec-server doctor` says in a container with these options. */
export async function runDoctor(image: string, options: readonly string[]): Promise<Doctor> {
  const args = ['run', '--rm', ...options, image, 'doctor', '--json'];
  return new Promise((resolve, reject) => {
    execFile('docker', args, (error, stdout, stderr) => {
      if (stdout === '') reject(new Error(`doctor said nothing: ${stderr}`));
      else resolve({ status: Number(error?.code ?? 0), report: JSON.parse(stdout) as Doctor['report'] });
    });
  });
}
