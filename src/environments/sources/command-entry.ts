import { Text, TextList, Texts, entryKind, pathHere } from '../file/entry-kind.ts';
import { commandSource } from './command-source.ts';

/** `program = "…"` */
export const commandEntry = entryKind({
  kind: 'command',
  marks: ['program'],
  takesVia: true,
  shape: { program: Text, args: TextList.optional(), env: Texts.optional() },
  source: ({ program, args, env }, context) => {
    const { via, cwd, variables } = context;
    // Inside another environment the path is one of that.
    const folder = cwd === undefined || via !== undefined ? cwd : pathHere(cwd, context);
    return commandSource({ program: program.trim(), args, env, cwd: folder, via, variables });
  },
});
