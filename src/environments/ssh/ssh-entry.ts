import { z } from 'zod';
import { Text, TextList, Texts, entryKind, pathHere } from '../file/entry-kind.ts';
import { asEntryProblem } from '../file/file-error.ts';
import { sshSource } from './ssh-source.ts';

/** `host = "…"` */
export const sshEntry = entryKind({
  kind: 'ssh',
  marks: ['host'],
  takesVia: true,
  shape: {
    host: Text,
    user: Text.optional(),
    port: z.int().min(1).max(65_535).optional(),
    identity_file: Text.optional(),
    config_file: Text.optional(),
    options: Texts.optional(),
    install: z.boolean().optional(),
    folder: Text.optional(),
    executor: Text.optional(),
    args: TextList.optional(),
    bundle: Text.optional(),
  },
  source: (entry, context) => {
    const { identity_file: identity, config_file: config, executor: program, bundle, ...rest } = entry;
    const { via, variables } = context;
    // Files for ssh lie where it runs.
    const place = (file: string | undefined): string | undefined =>
      file === undefined || via !== undefined || file.startsWith('~') ? file : pathHere(file, context);
    return asEntryProblem(() =>
      sshSource({
        ...rest,
        program,
        via,
        variables,
        identityFile: place(identity),
        configFile: place(config),
        bundle: bundle === undefined ? undefined : pathHere(bundle, context),
      }),
    );
  },
});
