import { stdioTarget } from '../../support/conformance-targets.ts';
import { watchSuite } from './suite.ts';

watchSuite(stdioTarget());
