/** Reports as CSV: written page by page while the client reads, whatever their length. */
import { type Page, type Position, pause } from "../accounts/reports.ts";
import { type CsvCell, formatCsvRow } from "../csv.ts";
import { PublicError } from "../errors.ts";
import type { HttpContext } from "./types.ts";

/** `format=csv|json`, else what `Accept` asks for. */
export function wantsCsv(c: HttpContext, format: "csv" | "json" | undefined): boolean {
  if (format !== undefined) return format === "csv";
  const types = (c.req.header("accept") ?? "").split(",").map((type) => type.split(";")[0]?.trim().toLowerCase());
  return types.includes("text/csv") && !types.includes("application/json");
}

/** A CSV holds all rows. @throws PublicError invalid_value when only a part is asked for */
export function refusePaging(query: object): void {
  for (const name of ["limit", "page_token"]) {
    if (!(name in query)) continue;
    const message = `A CSV holds every row; leave out '${name}', or narrow it with 'start_time' and 'end_time'.`;
    throw new PublicError("invalid_value", message, { param: name });
  }
}

/** Every row of a paged list, from the newest on; rows that arrive meanwhile change nothing behind the cursor. */
export async function* everyRow<Row>(
  readPage: (limit: number, after: Position | null) => Promise<Page<Row>>,
): AsyncGenerator<Row> {
  for (let after: Position | null = null; ; ) {
    const page: Page<Row> = await readPage(csvPageRows, after);
    yield* page.rows;
    if (page.next === null) return;
    after = page.next;
    await pause();
  }
}

const csvPageRows = 200;
const chunkCharacters = 32_768;

/** @param name of the file, without its ending */
export function answerCsv<Row>(
  name: string,
  headings: string[],
  rows: AsyncGenerator<Row>,
  cellsOf: (row: Row) => CsvCell[],
): Response {
  const encoder = new TextEncoder();
  let begun = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      let text = begun ? "" : formatCsvRow(headings);
      begun = true;
      while (text.length < chunkCharacters) {
        const next = await rows.next();
        if (next.done) {
          controller.enqueue(encoder.encode(text));
          return controller.close();
        }
        text += formatCsvRow(cellsOf(next.value));
      }
      controller.enqueue(encoder.encode(text));
    },
    async cancel() {
      await rows.return(undefined);
    },
  });
  return new Response(body, {
    headers: {
      "content-type": "text/csv; charset=utf-8",
      "content-disposition": `attachment; filename="${name}.csv"`,
      "cache-control": "no-store",
      vary: "accept",
    },
  });
}
