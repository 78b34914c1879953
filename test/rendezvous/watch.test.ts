import { watchSuite } from '../conformance/watch/suite.ts';
import { rendezvousTarget } from '../support/rendezvous-target.ts';

watchSuite(rendezvousTarget());
