import { stdioTarget } from '../../support/conformance-targets.ts';
import { transferSuite } from './suite.ts';

transferSuite(stdioTarget());
