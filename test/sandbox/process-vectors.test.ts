import { describe } from 'vitest';
import { processVectors } from '../support/sandbox-process-vectors.ts';

describe.each(['bubblewrap', 'landlock'] as const)('by %s', (enforcer) => {
  processVectors(enforcer, 'root');
});
