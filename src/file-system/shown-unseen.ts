import { joinPath, realPath } from '../disk/folder.ts';
import { type EnvironmentPath, parsePath } from '../protocol/path.ts';
import type { Unseen } from './unseen.ts';

/**
 * Tells of paths below a root, as a client is shown them, which are not to be seen. No links are on the way below the root, as in searches
 * and watches.
 */
export async function unseenBelow(
  root: EnvironmentPath,
  unseen: Unseen,
): Promise<(shown: string) => boolean> {
  if (unseen.isEmpty) return () => false;
  const real = await realPath(root.bytes);
  return (shown) => {
    const path = parsePath(shown);
    if ('problem' in path) return false;
    const rest = path.bytes.subarray(root.bytes.length === 1 ? 1 : root.bytes.length + 1);
    return unseen.isPlace(joinPath(real, rest));
  };
}
