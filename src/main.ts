#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

// Before anything large is loaded: compiled code is kept between starts where the system lets us.
enableCompileCache();
const { main } = await import('./cli/main.ts');
process.exitCode = await main(process.argv.slice(2));
