import { memoryTarget, stdioTarget, webSocketTarget } from '../../support/conformance-targets.ts';
import { searchSuite } from './suite.ts';

for (const target of [memoryTarget(), stdioTarget(), webSocketTarget()]) searchSuite(target);
