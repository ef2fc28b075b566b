/** Opens what a command needs: the same data as a server that may be running, without its background work. */
import { readConfig } from "../config.ts";
import { createLogger } from "../observe/log.ts";
import { openParts, type Parts } from "../parts.ts";

/** Runs `work` on the opened parts and closes them, whatever happens. Logs stay quiet: a command's output is its answer. */
export async function withParts<T>(work: (parts: Parts) => Promise<T>): Promise<T> {
  const parts = await openParts(readConfig(process.env), { logger: createLogger("silent") });
  try {
    return await work(parts);
  } finally {
    await parts.close();
  }
}

/** Prints rows as aligned columns, headings first; the columns in `right` (from 0) end in line, as figures should. */
export function printTable(headings: string[], rows: string[][], { right = [] }: { right?: number[] } = {}): void {
  const widths = headings.map((heading, column) =>
    [heading, ...rows.map((row) => row[column] ?? "")].reduce((most, cell) => Math.max(most, Bun.stringWidth(cell)), 0),
  );
  for (const row of [headings, ...rows]) {
    const cells = row.map((cell, column) => {
      const gap = " ".repeat((widths[column] ?? 0) - Bun.stringWidth(cell));
      return right.includes(column) ? gap + cell : cell + gap;
    });
    console.log(cells.join("  ").trimEnd());
  }
}
