import { randomUUID } from 'node:crypto';

import {
  commandClientTarget,
  memoryClientTarget,
  webSocketClientTarget,
} from '../support/conformance-client-targets.ts';
import { clientSuite } from './client.ts';

clientSuite(memoryClientTarget(randomUUID()));
clientSuite(webSocketClientTarget(randomUUID()));
clientSuite(commandClientTarget(randomUUID()));
