import { webSocketTarget } from '../../support/conformance-targets.ts';
import { httpSuite } from './suite.ts';

httpSuite(webSocketTarget());
