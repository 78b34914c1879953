/** Resolves at the first TERM or INT. A second one ends the process at once. */
export async function stopSignal(): Promise<'signal'> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(1);
        asked = true;
        resolve('signal');
      });
    }
  });
}
