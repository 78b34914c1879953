import { memoryTarget } from '../../support/conformance-targets.ts';
import { transferSuite } from './suite.ts';

transferSuite(memoryTarget());
