/** What happens when a person or the system asks a command to stop while a generation runs. */

const stopSignals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof stopSignals;

/** One Ctrl-C may arrive several times: from the terminal, from npx and from the launcher. */
const sameWithinMs = 1_000;

/** @param again whether this is a second request, made on purpose */
export type OnStop = (signal: StopSignal, again: boolean) => void;

/** Listens until the returned function is called. */
export function onStopSignal(act: OnStop): () => void {
  let firstAt: number | undefined;
  const listeners = (Object.keys(stopSignals) as StopSignal[]).map((signal) => {
    const listener = () => {
      const now = performance.now();
      if (firstAt !== undefined && now - firstAt < sameWithinMs) return;
      const again = firstAt !== undefined;
      firstAt ??= now;
      act(signal, again);
    };
    process.on(signal, listener);
    return [signal, listener] as const;
  });
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

/** The exit code by which a shell knows that a signal ended the program. */
export function exitCodeOf(signal: StopSignal): number {
  return stopSignals[signal];
}
