/** Progress on standard error: a moving line for a person, one line at the start and one at the end for a log. */

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const everyMs = 100;

export interface Progress {
  /** What is going on now. Off a terminal only the first call is printed. */
  show(state: string): void;
  /** A line of its own, whatever else is shown. */
  note(line: string): void;
  /** Ends the display with a last line. */
  end(line: string): void;
  /** Ends the display without a word; harmless after `end`. */
  clear(): void;
  /** `3.2 s` since the display was made. */
  elapsed(): string;
}

/** Where it is shown: standard error, or what a test puts in its place. */
export type ProgressStream = Pick<NodeJS.WriteStream, "write"> & { isTTY?: boolean; columns?: number };

export function createProgress(stream: ProgressStream): Progress {
  const begun = performance.now();
  const moving = stream.isTTY === true && process.env.TERM !== "dumb";
  let state: string | undefined;
  let frame = 0;
  let timer: ReturnType<typeof setInterval> | undefined;

  const elapsed = () => `${((performance.now() - begun) / 1000).toFixed(1)} s`;
  const erase = () => {
    if (timer !== undefined) stream.write("\r\x1b[K");
  };
  const draw = () => {
    const time = ` · ${elapsed()}`;
    // A line that wraps cannot be erased.
    const room = (stream.columns ?? 80) - 1 - time.length;
    stream.write(`\r\x1b[K${`${frames[frame++ % frames.length]} ${state}`.slice(0, Math.max(0, room))}${time}`);
  };
  const clear = () => {
    erase();
    clearInterval(timer);
    timer = undefined;
  };
  return {
    show(next) {
      if (!moving) {
        if (state === undefined) stream.write(`${next}\n`);
        state = next;
        return;
      }
      state = next;
      timer ??= setInterval(draw, everyMs);
      draw();
    },
    note(line) {
      erase();
      stream.write(`${line}\n`);
    },
    end(line) {
      clear();
      stream.write(`${line}\n`);
    },
    clear,
    elapsed,
  };
}
