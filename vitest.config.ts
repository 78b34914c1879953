import { defineConfig } from 'vitest/config';

const project = (name: string, timeout: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeout,
    hookTimeout: timeout,
  },
});

export default defineConfig({
  test: {
    projects: [
      { test: { ...project('unit', 20_000).test, include: ['test/unit/**/*.test.ts', 'test/*.test.ts'] } },
      project('conformance', 60_000),
      project('faults', 180_000),
      project('interop', 240_000),
      project('container', 240_000),
    ],
  },
});
