import { memoryTarget } from '../../support/conformance-targets.ts';
import { fileSuite } from './suite.ts';

fileSuite(memoryTarget());
