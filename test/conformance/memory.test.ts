import { memoryTarget } from '../support/conformance-targets.ts';
import { conformance } from './suite.ts';

conformance(memoryTarget());
