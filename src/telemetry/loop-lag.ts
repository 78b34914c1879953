import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Milliseconds between two samples: 20 wake-ups a second, and delays below are nobody's trouble. */
const sampleMs = 50;
const nanosecondsPerMs = 1e6;

type Histogram = ReturnType<typeof monitorEventLoopDelay>;

/** How late the event loop runs: the time that everything else has to wait. */
export class LoopLag implements Disposable {
  /** One always looks back a whole window: a reset forgets the sample that is under way. */
  readonly #histograms: [Histogram, Histogram];
  readonly #timer: NodeJS.Timeout;
  /** The delay before the first sample, which a histogram has nothing to compare with. */
  #firstMs = 0;
  readonly #first: NodeJS.Timeout;

  /** Delays are remembered for one to two windows. */
  constructor(windowMs: number) {
    const start = (): Histogram => {
      const histogram = monitorEventLoopDelay({ resolution: sampleMs });
      histogram.enable();
      return histogram;
    };
    this.#histograms = [start(), start()];
    const begin = performance.now();
    this.#first = setTimeout(() => {
      this.#firstMs = Math.max(0, Math.round(performance.now() - begin - sampleMs));
    }, sampleMs);
    this.#first.unref();
    let windows = 0;
    this.#timer = setInterval(() => {
      this.#histograms.reverse();
      this.#histograms[1].reset();
      windows += 1;
      if (windows === 2) this.#firstMs = 0;
    }, windowMs);
    this.#timer.unref();
  }

  /** Milliseconds of the longest delay. */
  get longestMs(): number {
    return Math.max(this.#firstMs, ...this.#histograms.map((histogram) => lateness(histogram.max)));
  }

  /** Milliseconds that 99 of 100 samples stay below. */
  get p99Ms(): number {
    const [longer] = this.#histograms;
    return longer.count === 0 ? 0 : lateness(longer.percentile(99));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    clearTimeout(this.#first);
    for (const histogram of this.#histograms) histogram.disable();
  }
}

/** A sample that is in time is as long as the time between two. */
function lateness(nanoseconds: number): number {
  return Math.max(0, Math.round(nanoseconds / nanosecondsPerMs - sampleMs));
}
