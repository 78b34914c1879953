const slash = 0x2f;

/** Whether `path` is strictly below `folder`, by whole components. Both are absolute and without dots and doubled slashes. */
export function isBelow(path: Buffer, folder: Buffer): boolean {
  if (folder.length === 1) return path.length > 1;
  return (
    path.length > folder.length &&
    path[folder.length] === slash &&
    path.subarray(0, folder.length).equals(folder)
  );
}
