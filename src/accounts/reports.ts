/** What has been charged, credited and used, for those who may see it. Sums stay in nano-dollars; the edge converts. */
import { type SelectQueryBuilder, sql } from "kysely";
import type { Database, MovementKind, Tables, UsageHoursTable } from "../database.ts";
import type { Nanos } from "../money.ts";
import { exact, exactSum } from "./deviation.ts";
import type { Key } from "./keys.ts";
import { readBalance } from "./ledger.ts";
import { readCounters, spendState } from "./limits.ts";
import { dayStart } from "./periods.ts";

const dayMs = 86_400_000;
export const hourMs = 3_600_000;

/** A place in a list that is newest first: the last row that has been seen. */
export interface Position {
  createdAt: number;
  id: string;
}

export interface Page<Row> {
  rows: Row[];
  /** Null at the end. */
  next: Position | null;
}

/** Rows from `from` up to, not including, `to`; Unix milliseconds. */
export interface TimeRange {
  from?: number | undefined;
  to?: number | undefined;
}

/** The account's balance for management keys; for others their own: docs/decisions/0020-balance-of-a-key.md. */
export async function balanceFor(database: Database, reader: Key, now: number): Promise<Nanos> {
  if (reader.kind === "management") return (await readBalance(database)).balance;
  const counters = await readCounters(database, reader.hash);
  if (counters === undefined) return 0n;
  return spendState(reader, counters, now).remaining ?? -BigInt(counters.charged_nanos);
}

export type TransactionType = "usage" | "credit";

export interface TransactionFilter extends TimeRange {
  keyHash?: string | undefined;
  type?: TransactionType | undefined;
}

export interface LedgerTransaction {
  id: string;
  type: TransactionType;
  /** Negative: usage, or an adjustment downwards. */
  amount: Nanos;
  description: string;
  createdAt: number;
  generationId: string | null;
}

const creditKinds: MovementKind[] = ["credit", "adjustment"];

/** Charges and credits, newest first. A key has charges only: credit belongs to the account. */
export async function listTransactions(
  database: Database,
  filter: TransactionFilter,
  limit: number,
  after: Position | null,
): Promise<Page<LedgerTransaction>> {
  const kinds: MovementKind[] = [];
  if (filter.type !== "credit") kinds.push("charge");
  if (filter.type !== "usage" && filter.keyHash === undefined) kinds.push(...creditKinds);
  // One query a kind: each walks its index from the newest on and stops after a page.
  const rows: LedgerTransaction[] = [];
  for (const kind of kinds) rows.push(...(await readMovements(database, kind, filter, limit + 1, after)));
  rows.sort((one, other) => other.createdAt - one.createdAt || (one.id < other.id ? 1 : -1));
  return toPage(rows, limit, (row) => row);
}

/** Cuts a list that was read one row further than the page. */
export function toPage<Row>(rows: Row[], limit: number, positionOf: (row: Row) => Position): Page<Row> {
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  if (last === undefined) return { rows, next: null };
  const { createdAt, id } = positionOf(last);
  return { rows: rows.slice(0, limit), next: { createdAt, id } };
}

async function readMovements(
  database: Database,
  kind: MovementKind,
  filter: TransactionFilter,
  limit: number,
  after: Position | null,
): Promise<LedgerTransaction[]> {
  let query = database
    .selectFrom("movements")
    .select(["id", "created_at", "generation_id", "model", "provider", "images", "note"])
    .select(exact(sql`amount_nanos`).as("amount"))
    .where("kind", "=", kind)
    .orderBy("created_at", "desc")
    .orderBy("id", "desc")
    .limit(limit);
  if (filter.keyHash !== undefined) query = query.where("key_hash", "=", filter.keyHash);
  if (filter.from !== undefined) query = query.where("created_at", ">=", filter.from);
  if (filter.to !== undefined) query = query.where("created_at", "<", filter.to);
  if (after !== null) query = query.where(sql<boolean>`(created_at, id) < (${after.createdAt}, ${after.id})`);
  const rows = await query.execute();
  return rows.map((row) => ({
    id: row.id,
    type: kind === "charge" ? "usage" : "credit",
    amount: kind === "charge" ? -BigInt(row.amount) : BigInt(row.amount),
    description:
      kind === "charge"
        ? `${row.images} ${row.images === 1 ? "image" : "images"}, ${row.model} at ${row.provider}`
        : (row.note ?? (kind === "credit" ? "Credit" : "Adjustment")),
    createdAt: row.created_at,
    generationId: row.generation_id,
  }));
}

/** Whole hours: `from` and `to` are Unix milliseconds at the beginning of an hour. */
export interface UsageFilter {
  from: number;
  to: number;
  keyHash?: string | undefined;
  model?: string | undefined;
  provider?: string | undefined;
}

export type UsageDimension = "model" | "provider" | "key_hash";

export interface Usage {
  requests: number;
  images: number;
  cost: Nanos;
}

export interface UsageRow extends Usage, Partial<Record<UsageDimension, string>> {
  /** Unix milliseconds of the hour's or day's beginning. */
  bucket: number;
}

/**
 * Sums by hour or day and by the dimensions asked for, oldest first. Read a day at a time, with a pause in between, so
 * that a long range holds up no request.
 */
export async function* readUsage(
  database: Database,
  filter: UsageFilter,
  bucketMs: typeof hourMs | typeof dayMs,
  by: UsageDimension[],
): AsyncGenerator<UsageRow> {
  // The range without its empty ends, by two looks into an index.
  const { from, to, keyHash } = filter;
  const hours = usageIn(database, { from, to, keyHash }).select("hour").limit(1);
  const first = await hours.orderBy("hour").executeTakeFirst();
  const last = await hours.orderBy("hour", "desc").executeTakeFirst();
  if (first === undefined || last === undefined) return;
  const end = last.hour + hourMs;
  for (let from = first.hour; from < end; ) {
    const to = Math.min(end, dayStart(from) + dayMs);
    const rows = await usageIn(database, { ...filter, from, to })
      .select(by)
      .select([
        sql<number>`hour - hour % ${sql.lit(bucketMs)}`.as("bucket"),
        sql<number>`sum(requests)`.as("requests"),
        sql<number>`sum(images)`.as("images"),
        exactSum(sql`cost_nanos`).as("cost"),
      ])
      .groupBy(["bucket", ...by] as never)
      .orderBy("bucket")
      .execute();
    for (const { requests, images, cost, ...row } of rows) {
      yield { ...row, requests: Number(requests), images: Number(images), cost: BigInt(cost) };
    }
    from = to;
    await pause();
  }
}

function usageIn(
  database: Database,
  { from, to, keyHash, model, provider }: UsageFilter,
): SelectQueryBuilder<Tables, "usage_hours", object> {
  let query = database.selectFrom("usage_hours").where("hour", ">=", from).where("hour", "<", to);
  const equal: Partial<Record<keyof UsageHoursTable, string | undefined>> = { key_hash: keyHash, model, provider };
  for (const column of ["key_hash", "model", "provider"] as const) {
    const value = equal[column];
    if (value !== undefined) query = query.where(column, "=", value);
  }
  return query;
}

/** Lets waiting requests run: the queries of one machine's database never leave the event loop by themselves. */
export const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export type Granularity = "hourly" | "daily" | "monthly";

/** Buckets in which something ended, oldest first; those in which nothing did are left out. */
export async function* usageSeries(
  database: Database,
  filter: UsageFilter,
  granularity: Granularity,
): AsyncGenerator<Usage & { at: number }> {
  let point: (Usage & { at: number }) | undefined;
  for await (const row of readUsage(database, filter, granularity === "hourly" ? hourMs : dayMs, [])) {
    const day = new Date(row.bucket);
    const at = granularity === "monthly" ? Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), 1) : row.bucket;
    if (point !== undefined && point.at !== at) yield point;
    point = plus(point?.at === at ? point : { at, ...noUsage }, row);
  }
  if (point !== undefined) yield point;
}

export const noUsage: Usage = { requests: 0, images: 0, cost: 0n };

/** `sum` with the figures of `more` added. */
export function plus<Sum extends Usage>(sum: Sum, more: Usage): Sum {
  return {
    ...sum,
    requests: sum.requests + more.requests,
    images: sum.images + more.images,
    cost: sum.cost + more.cost,
  };
}

/** Sums by one dimension, dearest first. */
export async function usageBy(
  database: Database,
  filter: UsageFilter,
  by: UsageDimension,
): Promise<Array<Usage & { name: string }>> {
  const sums = new Map<string, Usage & { name: string }>();
  for await (const row of readUsage(database, filter, dayMs, [by])) {
    const name = row[by] ?? "";
    sums.set(name, plus(sums.get(name) ?? { name, ...noUsage }, row));
  }
  return sorted([...sums.values()]);
}

export interface UsageSummary {
  totals: Usage;
  byProvider: Array<Usage & { name: string }>;
  byModel: Array<Usage & { name: string }>;
}

/** Totals with their parts, all from the same rows, so that they agree whatever ends meanwhile. */
export async function usageSummary(database: Database, filter: UsageFilter): Promise<UsageSummary> {
  let totals = noUsage;
  const [providers, models] = [
    new Map<string, Usage & { name: string }>(),
    new Map<string, Usage & { name: string }>(),
  ];
  for await (const row of readUsage(database, filter, dayMs, ["model", "provider"])) {
    totals = plus(totals, row);
    for (const [sums, name = ""] of [
      [providers, row.provider],
      [models, row.model],
    ] as const) {
      sums.set(name, plus(sums.get(name) ?? { name, ...noUsage }, row));
    }
  }
  return { totals, byProvider: sorted([...providers.values()]), byModel: sorted([...models.values()]) };
}

function sorted<Sum extends Usage & { name: string }>(sums: Sum[]): Sum[] {
  return sums.sort((one, other) =>
    one.cost === other.cost
      ? other.images - one.images || (one.name < other.name ? -1 : 1)
      : one.cost < other.cost
        ? 1
        : -1,
  );
}
