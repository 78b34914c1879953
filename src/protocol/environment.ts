import { z } from 'zod';

const Missing = {
  problem: z.string().optional().meta({ description: 'Where it is not: why.' }),
  fix: z.string().optional().meta({ description: 'Where it is not: what the operator can do.' }),
};

const Enforced = z.object({
  enforced: z.boolean(),
  enforcer: z.enum(['bubblewrap', 'landlock', 'seccomp']).optional(),
  givenUp: z.array(z.string()).readonly().optional().meta({
    description: 'What is asked for and not enforced, because the operator said so.',
  }),
  ...Missing,
});

const SandboxFacts = z
  .object({
    launcher: z.object({ usable: z.boolean(), ...Missing }),
    bubblewrap: z.object({
      usable: z.boolean(),
      ownProc: z
        .boolean()
        .optional()
        .meta({ description: 'A sandbox has process ids and a /proc of its own.' }),
      ...Missing,
    }),
    landlock: z.object({
      usable: z.boolean(),
      abi: z.int().optional(),
      broker: z.boolean().optional().meta({
        description: 'Paths inside of a writable tree can be kept read-only without bubblewrap.',
      }),
      ...Missing,
    }),
    profiles: z.object({
      network: Enforced.meta({ description: 'Everything but the network.' }),
      readOnly: Enforced.meta({ description: 'Everything readable, nothing writable.' }),
      workspaceWrite: Enforced.meta({
        description: 'A writable workspace whose metadata (.git and the like) is read-only.',
      }),
      restrictedRead: Enforced.meta({ description: 'Only some directories readable.' }),
      denial: Enforced.meta({ description: 'Something denied inside of what is granted.' }),
    }),
  })
  .meta({ description: 'What enforces sandboxes here, and what kinds of profiles would be refused.' });

export const EnvironmentInfo = z.object({
  shell: z
    .object({ name: z.string(), path: z.string() })
    .meta({ description: "The login shell of the executor's user." }),
  cwd: z.string().nullish().meta({ description: "The executor's working directory, a file: URI." }),
  executorVersion: z.string().optional(),
  providerId: z.string().optional().meta({
    description: 'sha256: and 64 hex digits; the same for one host and one release of the executor.',
  }),
  userHomeDir: z.string().optional().meta({ description: 'file: URI' }),
  platformOs: z.string().optional().meta({ description: 'linux or macos' }),
  tempDir: z.string().optional().meta({ description: 'file: URI' }),
  temporaryDirectories: z.array(z.string()).optional().meta({ description: 'file: URIs' }),
  prependPathDirs: z.array(z.string()).optional().meta({ description: 'file: URIs' }),
  capabilities: z
    .looseObject({
      execServer: z
        .object({
          methods: z.array(z.string()).meta({ description: 'Every method that this executor answers.' }),
          journal: z
            .object({ memoryBytes: z.int(), diskBytes: z.int() })
            .meta({ description: 'What is kept of the output of one process.' }),
          sandbox: SandboxFacts.optional(),
        })
        .optional()
        .meta({ description: 'What goes beyond the protocol of the codex executor; absent elsewhere.' }),
    })
    .optional()
    .meta({ description: 'Feature flags of clients in the field (absent means false), and our own object.' }),
});

export const EnvironmentStatusResult = z.object({
  status: z.string().meta({ description: '"ready", or "draining" when the executor takes no new sessions.' }),
});

export type SandboxFacts = z.infer<typeof SandboxFacts>;
export type EnvironmentInfo = z.infer<typeof EnvironmentInfo>;
