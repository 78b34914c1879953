import { searchSuite } from '../conformance/search/suite.ts';
import { rendezvousTarget } from '../support/rendezvous-target.ts';

searchSuite(rendezvousTarget());
