import { memoryTarget } from '../../support/conformance-targets.ts';
import { watchSuite } from './suite.ts';

watchSuite(memoryTarget());
