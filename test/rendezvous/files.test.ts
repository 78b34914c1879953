import { fileSuite } from '../conformance/files/suite.ts';
import { rendezvousTarget } from '../support/rendezvous-target.ts';

fileSuite(rendezvousTarget());
