import { webSocketTarget } from '../../support/conformance-targets.ts';
import { sandboxFileSuite } from './suite.ts';

sandboxFileSuite(webSocketTarget());
