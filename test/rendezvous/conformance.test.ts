import { conformance } from '../conformance/suite.ts';
import { rendezvousTarget } from '../support/rendezvous-target.ts';

conformance(rendezvousTarget());
