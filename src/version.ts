import { readFileSync } from 'node:fs';

/** The release of this package: the one place that names it is package.json, beside src/ and dist/ alike. */
export const version: string = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
