import { conformance } from '../conformance/suite.ts';
import { fileSuite } from '../conformance/files/suite.ts';
import { clientSuite } from '../conformance/client.ts';
import { urlKind, managedClientTarget, managedTarget } from '../support/environments-targets.ts';

clientSuite(managedClientTarget(urlKind));
conformance(managedTarget(urlKind));
fileSuite(managedTarget(urlKind));
