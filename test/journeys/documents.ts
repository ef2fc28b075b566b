/** The documentation as data: its files, fenced blocks, headings, links and tables. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";

export const root = join(import.meta.dirname, "..", "..");

export const read = (file: string): string => readFileSync(join(root, file), "utf8");

/** Every document that is written by hand or for readers, relative to the root. */
export const documents: string[] = [
  ...new Glob("*.md").scanSync({ cwd: root }),
  ...new Glob("docs/**/*.md").scanSync({ cwd: root }),
].sort();

export interface Block {
  file: string;
  /** Line of the opening fence, from 1. */
  line: number;
  language: string;
  /** What follows the language: `test`, `output`, `model`. */
  mark: string;
  code: string;
}

/** Fenced blocks, also those inside a list, without the list's indentation. */
export function blocksOf(file: string): Block[] {
  const blocks: Block[] = [];
  let open: (Block & { indent: string; lines: string[] }) | undefined;
  for (const [index, text] of read(file).split("\n").entries()) {
    const fence = /^(\s*)```(\S*)\s*(.*)$/.exec(text);
    if (open === undefined && fence !== null) {
      const [, indent = "", language = "", mark = ""] = fence;
      open = { file, line: index + 1, language, mark, code: "", indent, lines: [] };
    } else if (open !== undefined && text.trim() === "```") {
      const { indent: _, lines, ...block } = open;
      blocks.push({ ...block, code: lines.join("\n") });
      open = undefined;
    } else {
      open?.lines.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text);
    }
  }
  if (open !== undefined) throw new Error(`${file}:${open.line}: the block has no end`);
  return blocks;
}

/** The text without its fenced blocks. */
export const proseOf = (file: string): string => read(file).replace(/^\s*```[\s\S]*?^\s*```$/gm, "");

export interface Heading {
  level: number;
  text: string;
  /** GitHub's anchor. */
  anchor: string;
}

export const headingsOf = (file: string): Heading[] =>
  [...proseOf(file).matchAll(/^(#{1,6}) (.+)$/gm)].map(([, marks = "", text = ""]) => ({
    level: marks.length,
    text,
    anchor: text
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  }));

/** Targets of links and pictures, as written. */
export const linksOf = (file: string): string[] =>
  [...proseOf(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? "");

/** `code` in running text, without the backticks. */
export const codesIn = (text: string): string[] => [...text.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code ?? "");

/** The rows of the table whose first heading is this, as cells; without the headings. */
export function tableOf(file: string, firstHeading: string): string[][] {
  const lines = read(file).split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${firstHeading} |`));
  if (start < 0) throw new Error(`${file} has no table that begins with '${firstHeading}'`);
  const end = lines.findIndex((line, index) => index > start && !line.startsWith("|"));
  return lines.slice(start + 2, end < 0 ? undefined : end).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim()),
  );
}
