/** The hourly sums of the reports against the charges they were made from, a day at a time. */
import { sql } from "kysely";
import type { Database } from "../database.ts";
import type { CheckOptions } from "./check.ts";
import { type Deviation, differs, exact, exactSum } from "./deviation.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

interface HourRow {
  id: string;
  cost: string;
  images: number;
  requests: number;
}

const nothing = { cost: "0", images: 0, requests: 0 };

export async function* usageDeviations(database: Database, { progress }: CheckOptions): AsyncGenerator<Deviation> {
  const { rows } = await sql<{ charge: number | null; hour: number | null }>`
    select (select max(created_at) from movements where kind = 'charge') as charge,
      (select max(hour) from usage_hours) as hour`.execute(database);
  const first = await nextDay(database, 0);
  const last = Math.max(rows[0]?.charge ?? 0, rows[0]?.hour ?? 0);
  const total = first === null ? 0 : Math.ceil((last - first + 1) / dayMs);
  for (let day = first; day !== null; day = await nextDay(database, day + dayMs)) {
    yield* dayDeviations(database, day);
    progress?.("days of usage", Math.min(total, 1 + (day - (first ?? day)) / dayMs), total);
  }
}

/** The first day at or after `from` in which anything was charged or counted. */
async function nextDay(database: Database, from: number): Promise<number | null> {
  const { rows } = await sql<{ charge: number | null; hour: number | null }>`
    select (select min(created_at) from movements where kind = 'charge' and created_at >= ${from}) as charge,
      (select min(hour) from usage_hours where hour >= ${from}) as hour`.execute(database);
  const times = [rows[0]?.charge, rows[0]?.hour].flatMap((time) => (typeof time === "number" ? [time] : []));
  if (times.length === 0) return null;
  const time = Math.min(...times);
  return time - (time % dayMs);
}

async function* dayDeviations(database: Database, day: number): AsyncGenerator<Deviation> {
  const identity = (hour: string) =>
    sql`${sql.raw(hour)} || ' ' || coalesce(key_hash, '') || ' ' || coalesce(model, '') || ' ' || coalesce(provider, '')`;
  const charged = await sql<HourRow>`
    select ${identity(`(created_at - created_at % ${hourMs})`)} as id, ${exactSum(sql`amount_nanos`)} as cost,
      coalesce(sum(images), 0) as images, count(*) as requests
    from movements where kind = 'charge' and created_at >= ${day} and created_at < ${day + dayMs}
    group by 1`.execute(database);
  const counted = await sql<HourRow>`
    select ${identity("hour")} as id, ${exact(sql`cost_nanos`)} as cost, images, requests
    from usage_hours where hour >= ${day} and hour < ${day + dayMs}`.execute(database);
  const left = new Map(charged.rows.map((row) => [row.id, row]));
  for (const row of counted.rows) {
    yield* hourDeviations(left.get(row.id) ?? { id: row.id, ...nothing }, row);
    left.delete(row.id);
  }
  for (const row of left.values()) yield* hourDeviations(row, { id: row.id, ...nothing });
}

function* hourDeviations(charged: HourRow, counted: HourRow): Generator<Deviation> {
  const { id } = charged;
  yield* differs(id, "usage cost_nanos of the hour", BigInt(charged.cost), BigInt(counted.cost));
  // What costs nothing (the sandbox, refusals) is counted too, but leaves no movement: here only a lower bound is known.
  for (const what of ["images", "requests"] as const) {
    if (counted[what] >= charged[what]) continue;
    yield { id, what: `usage ${what} of the hour`, expected: `>= ${charged[what]}`, found: String(counted[what]) };
  }
}
