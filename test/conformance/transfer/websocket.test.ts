import { webSocketTarget } from '../../support/conformance-targets.ts';
import { transferSuite } from './suite.ts';

transferSuite(webSocketTarget());
