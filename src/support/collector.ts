import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * MiB of the young generation, of which one half is in use. Left alone, bulk data makes it grow to 128 MiB with next to nothing alive in it,
 * and loading the executor alone to 32.
 */
const youngMiB = 16;

/**
 * Makes the collector of this process fit an executor: bulk data must neither hold up a keystroke nor fill the memory. To be called before
 * the executor is loaded.
 *
 * - It collects the young generation on the thread that waits for it. Next to nothing is alive there, so that it takes a millisecond; with
 *   helper threads, each of them first has to get a processor, which are all busy.
 * - It stops growing the young generation at a size. The documented option for that works at the start of a process only.
 */
export function tuneCollector(): void {
  setFlagsFromString('--no-parallel-scavenge');
  let grows: boolean | undefined;
  const setGrowing = (wanted: boolean): void => {
    if (wanted === grows) return;
    grows = wanted;
    setFlagsFromString(`--semi-space-growth-factor=${grows ? 2 : 1}`);
  };
  setGrowing(false);
  const observer = new PerformanceObserver(() => {
    const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
    // It shrinks when there is nothing to do, to any size, and then has to grow again.
    setGrowing(young !== undefined && 2 * young.space_size <= youngMiB * 1024 * 1024);
  });
  observer.observe({ entryTypes: ['gc'] });
}
