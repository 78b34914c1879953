import { conformance } from '../conformance/suite.ts';
import { fileSuite } from '../conformance/files/suite.ts';
import { clientSuite } from '../conformance/client.ts';
import { localKind, managedClientTarget, managedTarget } from '../support/environments-targets.ts';

clientSuite(managedClientTarget(localKind));
conformance(managedTarget(localKind));
fileSuite(managedTarget(localKind));
