/** Where canaries are looked for: log lines, answers, and every file of the data folder as it lies on the disk. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pino from "pino";
import type { Logger } from "../../src/ports.ts";

export interface Place {
  name: string;
  content: string;
}

export function filesIn(folder: string): Place[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => {
      const name = join(entry.parentPath, entry.name);
      try {
        return [{ name, content: readFileSync(name, "latin1") }];
      } catch {
        return []; // a file that has gone since
      }
    });
}

export const placesOf = (lines: readonly string[]): Place[] =>
  lines.map((content, index) => ({ name: `#${index}`, content }));

/** Which of the words stand where, with a little of what is around them. */
export function found(places: readonly Place[], words: readonly string[]): string[] {
  return places.flatMap(({ name, content }) =>
    words.flatMap((word) => {
      const position = content.indexOf(word);
      return position < 0 ? [] : [`${name}: …${content.slice(Math.max(0, position - 120), position + 60)}…`];
    }),
  );
}

/** Everything the router logs, at the lowest level and unredacted: what is not given to the log cannot leak through it. */
export function openLog(): { lines: string[]; logger: Logger } {
  const lines: string[] = [];
  return { lines, logger: pino({ level: "trace" }, { write: (line: string) => void lines.push(line) }) };
}
