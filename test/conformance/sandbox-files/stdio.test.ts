import { stdioTarget } from '../../support/conformance-targets.ts';
import { sandboxFileSuite } from './suite.ts';

sandboxFileSuite(stdioTarget());
