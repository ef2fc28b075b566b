/** One line on the terminal that says how far a long command is; silent where nobody watches. */

const firstAfterMs = 500;
const everyMs = 200;

export interface Counter {
  tell(step: string, done: number, total: number): void;
  /** Prints a line of the command's output above the progress. */
  print(line: string): void;
  end(): void;
}

export function createCounter(): Counter {
  const watched = process.stderr.isTTY === true;
  let nextAt = performance.now() + firstAfterMs;
  let shown = false;
  const clear = () => {
    if (shown) process.stderr.write("\r\x1b[K");
    shown = false;
  };
  return {
    tell(step, done, total) {
      if (!watched || performance.now() < nextAt) return;
      nextAt = performance.now() + everyMs;
      const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
      process.stderr.write(`\r\x1b[K${step}: ${done} of ${total} (${percent} %)`);
      shown = true;
    },
    print(line) {
      clear();
      console.log(line);
    },
    end: clear,
  };
}
