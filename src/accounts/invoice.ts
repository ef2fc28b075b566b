/** Compares a provider's invoice with what was recorded here, by model and day. */
import { sql } from "kysely";
import { type CsvRow, readCsv } from "../csv.ts";
import type { Database } from "../database.ts";
import { parseIsoTime } from "../iso-time.ts";
import type { Nanos } from "../money.ts";
import { exactSum } from "./deviation.ts";
import { dayStart } from "./periods.ts";

const dayMs = 86_400_000;

export interface InvoiceLine {
  /** Unix milliseconds of the UTC day's beginning. */
  day: number;
  model: string;
  amount: Nanos;
  images: number | null;
}

/** An invoice that cannot be read; the message names the line and the column. */
export class InvoiceError extends Error {
  override readonly name = "InvoiceError";
}

const required = ["date", "model", "amount_usd"];

/**
 * The invoice's lines. Columns `date`, `model`, `amount_usd` and, if there, `images`, in any order; others are not looked at.
 * @throws InvoiceError
 */
export async function* readInvoice(pieces: AsyncIterable<string> | Iterable<string>): AsyncGenerator<InvoiceLine> {
  let columns: Map<string, number> | undefined;
  const rows = readCsv(pieces);
  for (;;) {
    const { value: row, done } = await rows.next().catch((error: unknown) => {
      throw new InvoiceError(error instanceof Error ? error.message : String(error));
    });
    if (done) break;
    if (columns === undefined) columns = readHeadings(row);
    else yield readLine(row, columns);
  }
  if (columns === undefined)
    throw new InvoiceError(`the file is empty; its first line must name ${required.join(", ")}`);
}

function readHeadings({ cells }: CsvRow): Map<string, number> {
  const columns = new Map(cells.map((name, index) => [name.trim().toLowerCase(), index]));
  for (const name of required) {
    if (!columns.has(name)) throw new InvoiceError(`the first line must name the column '${name}'`);
  }
  return columns;
}

function readLine({ line, cells }: CsvRow, columns: Map<string, number>): InvoiceLine {
  const cell = (name: string) => (cells[columns.get(name) ?? -1] ?? "").trim();
  const wrong = (name: string, expected: string) =>
    new InvoiceError(`line ${line}: ${name} is '${cell(name)}', expected ${expected}`);
  const model = cell("model");
  if (model === "") throw wrong("model", "a model's name");
  const amount = readAmount(cell("amount_usd"));
  if (amount === null) throw wrong("amount_usd", "US dollars, e.g. 12.34");
  const day = readDay(cell("date"));
  if (day === null) throw wrong("date", "an ISO 8601 date, e.g. 2026-09-01");
  const images = cell("images");
  if (!/^\d{0,15}$/.test(images)) throw wrong("images", "a whole number");
  return { day, model, amount, images: images === "" ? null : Number(images) };
}

/** `12.34`, `$1,234.50`, `-0.5`; beyond nine decimals it is rounded to the nearest nano-dollar. */
function readAmount(text: string): Nanos | null {
  const match = /^(-?)\$?(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?$/.exec(text);
  if (match === null) return null;
  const [, sign, whole = "0", fraction = ""] = match;
  const digits = BigInt(whole.replaceAll(",", "") + fraction.slice(0, 9).padEnd(9, "0"));
  const rounded = digits + ((fraction[9] ?? "0") >= "5" ? 1n : 0n);
  return sign === "-" ? -rounded : rounded;
}

function readDay(text: string): number | null {
  const time = parseIsoTime(text);
  return time === null ? null : dayStart(time);
}

/** What our figure is made of: the provider's own statements, the list price of what was delivered, or both. */
export type CostSource = "provider_cost" | "list_price" | "mixed";

export interface ReportRow {
  day: number;
  model: string;
  invoice: Nanos;
  recorded: Nanos;
  /** `invoice − recorded`. */
  difference: Nanos;
  invoiceImages: number | null;
  recordedImages: number;
  /** Null where nothing was recorded. */
  recordedFrom: CostSource | null;
}

export interface InvoiceReport {
  /** First and last day of the invoice; null for one without lines. */
  from: number | null;
  to: number | null;
  rows: ReportRow[];
  totals: Omit<ReportRow, "day" | "model">;
}

/**
 * @param nameOf our id of a model as an invoice names it
 * @param provider compares with this provider's charges only; without it, with all
 * @throws InvoiceError
 */
export async function compareInvoice(
  database: Database,
  lines: AsyncIterable<InvoiceLine>,
  nameOf: (model: string) => string,
  provider: string | undefined,
): Promise<InvoiceReport> {
  const rows = new Map<string, ReportRow>();
  const rowOf = (day: number, model: string): ReportRow => {
    const identity = `${day} ${model}`;
    const row = rows.get(identity) ?? { day, model, ...nothing };
    rows.set(identity, row);
    return row;
  };
  for await (const { day, model, amount, images } of lines) {
    const row = rowOf(day, nameOf(model));
    row.invoice += amount;
    if (images !== null) row.invoiceImages = (row.invoiceImages ?? 0) + images;
  }
  const days = [...rows.values()].map(({ day }) => day);
  if (days.length === 0) return { from: null, to: null, rows: [], totals: { ...nothing } };
  const [from, to] = [days.reduce((a, b) => Math.min(a, b)), days.reduce((a, b) => Math.max(a, b))];
  for (const charged of await readCharges(database, from, to + dayMs, provider)) {
    const row = rowOf(charged.day, charged.model);
    row.recorded += BigInt(charged.cost);
    row.recordedImages += Number(charged.images);
    row.recordedFrom = sourceOf(Number(charged.stated), Number(charged.charges));
  }
  const sorted = [...rows.values()].sort((a, b) => a.day - b.day || (a.model < b.model ? -1 : 1));
  const totals = { ...nothing };
  for (const row of sorted) {
    row.difference = row.invoice - row.recorded;
    totals.invoice += row.invoice;
    totals.recorded += row.recorded;
    totals.difference += row.difference;
    totals.recordedImages += row.recordedImages;
    if (row.invoiceImages !== null) totals.invoiceImages = (totals.invoiceImages ?? 0) + row.invoiceImages;
    totals.recordedFrom = both(totals.recordedFrom, row.recordedFrom);
  }
  return { from, to, rows: sorted, totals };
}

const nothing: Omit<ReportRow, "day" | "model"> = {
  invoice: 0n,
  recorded: 0n,
  difference: 0n,
  invoiceImages: null,
  recordedImages: 0,
  recordedFrom: null,
};

interface ChargedDay {
  day: number;
  model: string;
  cost: string;
  images: number;
  charges: number;
  /** Charges whose cost the provider itself stated. */
  stated: number;
}

async function readCharges(
  database: Database,
  from: number,
  to: number,
  provider: string | undefined,
): Promise<ChargedDay[]> {
  const only = provider === undefined ? sql`` : sql`and provider = ${provider}`;
  const { rows } = await sql<ChargedDay>`
    select created_at - created_at % ${sql.lit(dayMs)} as day, model, sum(images) as images, count(*) as charges,
      count(provider_cost_nanos) as stated, ${exactSum(sql`coalesce(provider_cost_nanos, amount_nanos)`)} as cost
    from movements where kind = 'charge' and created_at >= ${from} and created_at < ${to} ${only}
    group by 1, model`.execute(database);
  return rows;
}

function sourceOf(stated: number, charges: number): CostSource {
  if (stated === 0) return "list_price";
  return stated === charges ? "provider_cost" : "mixed";
}

function both(one: CostSource | null, other: CostSource | null): CostSource | null {
  if (one === null || other === null) return one ?? other;
  return one === other ? one : "mixed";
}
