/** CSV by RFC 4180, written for spreadsheets and read from whatever an invoice was exported with. */
import { formatUsd, type Nanos } from "./money.ts";

/** Text, a number, an amount in nano-dollars (written as exact US dollars), or nothing. */
export type CsvCell = string | number | Nanos | null;

/** A spreadsheet runs text that begins like this as a formula; an apostrophe in front makes it text again. */
const formulaStart = /^[=+\-@\t\r\n＝＋－＠]/;

export function formatCsvRow(cells: readonly CsvCell[]): string {
  return `${cells.map(formatCell).join(",")}\r\n`;
}

function formatCell(cell: CsvCell): string {
  if (cell === null) return "";
  if (typeof cell === "bigint") return formatUsd(cell);
  if (typeof cell === "number") return String(cell);
  const safe = formulaStart.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export interface CsvRow {
  /** Where the row begins in the file, from 1. */
  line: number;
  cells: string[];
}

/**
 * Reads rows from pieces of text as they come. Quoted cells may hold commas, line ends and doubled quotes; line ends may
 * be CRLF, LF or CR; a byte order mark and empty lines are skipped.
 * @throws Error for a quote that is never closed, or text after a closing quote
 */
export async function* readCsv(pieces: AsyncIterable<string> | Iterable<string>): AsyncGenerator<CsvRow> {
  let cells: string[] = [];
  let cell = "";
  // before: nothing of the cell yet; plain: unquoted; quoted: inside quotes; closed: after a quote that may be the last.
  let state: "before" | "plain" | "quoted" | "closed" = "before";
  let [line, begun, first, afterReturn] = [1, 1, true, false];
  const endCell = () => {
    cells.push(cell);
    cell = "";
    state = "before";
  };
  for await (const piece of pieces) {
    for (const character of piece) {
      if (first && character === "\ufeff") continue;
      first = false;
      const lineEnd = character === "\n" || character === "\r";
      // CRLF ends one line; as a second, empty one it would be skipped anyway.
      if (lineEnd && !(afterReturn && character === "\n")) line++;
      afterReturn = character === "\r";
      if (state === "quoted") {
        if (character === '"') state = "closed";
        else cell += character;
      } else if (lineEnd) {
        endCell();
        if (cells.length > 1 || cells[0] !== "") yield { line: begun, cells };
        cells = [];
        begun = line;
      } else if (character === ",") {
        endCell();
      } else if (character === '"' && state !== "plain") {
        if (state === "closed") cell += '"';
        state = "quoted";
      } else if (state === "closed") {
        throw new Error(`line ${line}: text after a closing quote`);
      } else {
        cell += character;
        state = "plain";
      }
    }
  }
  if (state === "quoted") throw new Error(`line ${begun}: a quote is opened and never closed`);
  endCell();
  if (cells.length > 1 || cells[0] !== "") yield { line: begun, cells };
}
