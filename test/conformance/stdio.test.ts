import { stdioTarget } from '../support/conformance-targets.ts';
import { conformance } from './suite.ts';

conformance(stdioTarget());
