/** What a schema says of a value; one of a library that this folder does not know. */
interface Issues {
  readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[];
}

/** Issues named in one text. */
const named = 3;

/** Each wrong member with what is wrong, and no value. */
export function issuesText({ issues }: Issues): string {
  const texts = issues.slice(0, named).map(({ path, message }) => {
    const member = path.map(String).join('.').slice(0, 200);
    return member === '' ? message : `${member}: ${message}`;
  });
  const more = issues.length - texts.length;
  return texts.join('; ') + (more > 0 ? ` (and ${more} more)` : '');
}
