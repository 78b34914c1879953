import { stdioTarget } from '../../support/conformance-targets.ts';
import { httpSuite } from './suite.ts';

httpSuite(stdioTarget());
