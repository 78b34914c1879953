import { randomUUID } from 'node:crypto';

import { clientSuite } from '../conformance/client.ts';
import { rendezvousClientTarget } from '../support/rendezvous-target.ts';

clientSuite(rendezvousClientTarget(randomUUID(), 'relay'));
