import type { Target } from '../../support/conformance-targets.ts';
import type { Topic } from '../case.ts';
import { runTopics } from '../topics.ts';
import { archives } from './archives.ts';
import { clientFiles } from './client-files.ts';
import { clientStreams } from './client-streams.ts';
import { downloads } from './downloads.ts';
import { extracts } from './extracts.ts';
import { manifests } from './manifests.ts';
import { openStreams } from './open-streams.ts';
import { uploads } from './uploads.ts';

/** What every executor does with files and trees as streams, by topic; and what the client makes of it. */
const topics: readonly Topic[] = [
  downloads,
  uploads,
  openStreams,
  archives,
  manifests,
  extracts,
  clientStreams,
  clientFiles,
];

/** Runs all cases over one kind of connection. */
export function transferSuite(target: Target): void {
  runTopics('transfers', topics, target);
}
