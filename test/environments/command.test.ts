import { conformance } from '../conformance/suite.ts';
import { fileSuite } from '../conformance/files/suite.ts';
import { clientSuite } from '../conformance/client.ts';
import { commandKind, managedClientTarget, managedTarget } from '../support/environments-targets.ts';

clientSuite(managedClientTarget(commandKind));
conformance(managedTarget(commandKind));
fileSuite(managedTarget(commandKind));
