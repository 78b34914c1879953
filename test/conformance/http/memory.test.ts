import { memoryTarget } from '../../support/conformance-targets.ts';
import { httpSuite } from './suite.ts';

httpSuite(memoryTarget());
