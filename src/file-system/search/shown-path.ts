import { type EnvironmentPath, showPath, toFileUri } from '../../protocol/path.ts';
import { joinPrefix } from './tree.ts';

/** Writes the paths below a root, whose bytes are given as Latin-1, in the form of the request. */
export function pathWriter(root: Buffer, form: EnvironmentPath['form']): (bytes: string) => string {
  const prefix = joinPrefix(showPath(root, form));
  return (bytes) => {
    // Most names are the same in every form, and there can be many.
    if (/^[A-Za-z0-9/._-]*$/.test(bytes)) return prefix + bytes;
    const path = Buffer.from(bytes, 'latin1');
    return prefix + (form === 'uri' ? toFileUri(path).slice('file://'.length) : path.toString());
  };
}
