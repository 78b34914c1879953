import { z } from 'zod';
import { Text, TextList, Texts, entryKind, pathHere } from '../file/entry-kind.ts';
import { asEntryProblem } from '../file/file-error.ts';
import { dockerSource } from './docker-source.ts';

const Mount = z.strictObject({ source: Text, target: Text, read_only: z.boolean().optional() });

/** `container = "…"` or `image = "…"` */
export const dockerEntry = entryKind({
  kind: 'docker',
  marks: ['container', 'image'],
  takesVia: true,
  shape: {
    container: Text.optional(),
    image: Text.optional(),
    user: Text.optional(),
    workdir: Text.optional(),
    env: Texts.optional(),
    network: Text.optional(),
    mounts: z.array(Mount).optional(),
    labels: Texts.optional(),
    folder: Text.optional(),
    args: TextList.optional(),
    bundle: Text.optional(),
    engine: Text.optional(),
  },
  source: ({ mounts, bundle, ...entry }, context) => {
    const { via, variables } = context;
    // Of the machine that the engine runs on, which is this one unless it is reached through another environment.
    const place = (source: string): string =>
      via === undefined && source.startsWith('.') ? pathHere(source, context) : source;
    return asEntryProblem(() =>
      dockerSource({
        ...entry,
        via,
        variables,
        bundle: bundle === undefined ? undefined : pathHere(bundle, context),
        mounts: mounts?.map(({ source, target, read_only: readOnly }) => ({
          source: place(source),
          target,
          readOnly,
        })),
      }),
    );
  },
});
