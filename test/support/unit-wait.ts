/** Far above what any of the awaited events takes on a loaded machine, and below the time limit of a test. */
const deadlineMs = 15_000;

/** The result of what is awaited, or an error that names it when it does not come. */
export async function expectSoon<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Within ${deadlineMs} ms it has not come: ${what}`)),
      deadlineMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Turns of the event loop that a message over a memory transport and the answer to it take, and some. */
const turns = 8;

/** Lets what is under way in this process come to rest. */
export async function turn(): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => void setImmediate(resolve));
}
