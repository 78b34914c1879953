import { transferSuite } from '../conformance/transfer/suite.ts';
import { rendezvousTarget } from '../support/rendezvous-target.ts';

transferSuite(rendezvousTarget());
