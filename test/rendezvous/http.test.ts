import { httpSuite } from '../conformance/http/suite.ts';
import { rendezvousTarget } from '../support/rendezvous-target.ts';

httpSuite(rendezvousTarget());
