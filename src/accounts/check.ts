/**
 * Recomputes every balance and every promise of the ledger from the movements, and names each figure that deviates.
 * Memory is bounded: sums are made by the database, and rows are looked at in slices.
 */
import { sql } from "kysely";
import type { Database, MovementKind } from "../database.ts";
import { generationDeviations } from "./check-generations.ts";
import { usageDeviations } from "./check-usage.ts";
import { type Deviation, differs, exact, exactSum } from "./deviation.ts";
import { accountId } from "./ledger.ts";
import { onSnapshot } from "./snapshot.ts";

export type { Deviation } from "./deviation.ts";

export interface CheckOptions {
  /** Unix milliseconds. When given, a generation that is gone although it is younger than 90 days is a deviation. */
  now?: number;
  /** Called now and then with how far a long check is. */
  progress?: (step: string, done: number, total: number) => void;
}

/** All deviations; empty when the ledger is right. Works while the router runs: it looks at one moment. */
export async function checkLedger(database: Database, options: CheckOptions = {}): Promise<Deviation[]> {
  const found: Deviation[] = [];
  await findDeviations(database, options, (deviation) => found.push(deviation));
  return found;
}

/** Tells each deviation as it is found, however many there are. */
export async function findDeviations(
  database: Database,
  options: CheckOptions,
  report: (deviation: Deviation) => void,
): Promise<void> {
  await onSnapshot(database, async (snapshot) => {
    for (const deviation of await movementDeviations(snapshot)) report(deviation);
    for (const deviation of await accountDeviations(snapshot)) report(deviation);
    for await (const deviation of keyDeviations(snapshot)) report(deviation);
    for await (const deviation of generationDeviations(snapshot, options)) report(deviation);
    for await (const deviation of usageDeviations(snapshot, options)) report(deviation);
  });
}

const kinds: readonly string[] = ["hold", "charge", "release", "credit", "adjustment"] satisfies MovementKind[];

/** Movements that belong to nothing, or whose amount has the wrong sign. */
async function movementDeviations(database: Database): Promise<Deviation[]> {
  const wrong = await sql<{ id: string; kind: string; amount: string; generation_id: string | null }>`
    select id, kind, ${exact(sql`amount_nanos`)} as amount, generation_id from movements
    where (kind not in ('credit', 'adjustment') and (generation_id is null or key_hash is null))
      or (kind <> 'adjustment' and amount_nanos <= 0 and not (kind = 'charge' and amount_nanos = 0))
      or kind not in (${sql.join(kinds)})`.execute(database);
  return wrong.rows.map(({ id, kind, amount, generation_id }) => {
    if (!kinds.includes(kind)) return { id, what: "kind of movement", expected: kinds.join(" | "), found: kind };
    if (BigInt(amount) <= 0n && kind !== "adjustment")
      return { id, what: `amount of a ${kind}`, expected: kind === "charge" ? ">= 0" : "> 0", found: amount };
    return {
      id,
      what: `a ${kind} belongs to a key and a generation`,
      expected: "both",
      found: generation_id ?? "none",
    };
  });
}

async function accountDeviations(database: Database): Promise<Deviation[]> {
  const sums = await sql<{ kind: MovementKind; sum: string }>`
    select kind, ${exactSum(sql`amount_nanos`)} as sum from movements group by kind`.execute(database);
  const total = (kind: MovementKind) => BigInt(sums.rows.find((row) => row.kind === kind)?.sum ?? 0);
  const accounts = await sql<{ id: string; credited: string; charged: string; held: string }>`
    select id, ${exact(sql`credited_nanos`)} as credited, ${exact(sql`charged_nanos`)} as charged,
      ${exact(sql`held_nanos`)} as held
    from account`.execute(database);
  const account = accounts.rows.find(({ id }) => id === accountId);
  if (account === undefined) return [{ id: accountId, what: "the account's row", expected: "one row", found: "none" }];
  const running = await sql<{ sum: string }>`
    select ${exactSum(sql`quote_nanos`)} as sum from generations where status in ('queued', 'running')`.execute(
    database,
  );
  const held = BigInt(account.held);
  return [
    ...differs(accountId, "account credited_nanos", total("credit") + total("adjustment"), BigInt(account.credited)),
    ...differs(accountId, "account charged_nanos", total("charge"), BigInt(account.charged)),
    ...differs(accountId, "account held_nanos", total("hold") - total("charge") - total("release"), held),
    ...differs(accountId, "account held_nanos = quotes of what runs", BigInt(running.rows[0]?.sum ?? 0), held),
    ...(held < 0n
      ? [{ id: accountId, what: "account held_nanos is not negative", expected: ">= 0", found: account.held }]
      : []),
  ];
}

interface KeyRow {
  id: string;
  /** Null: the key has no counters. */
  held: string | null;
  used: string;
  charged: string;
  running: string;
  known: number;
  movements_held: string;
  movements_charged: string;
  movements_used: string;
  generations_running: string;
  quotes_running: string;
}

/** Keys a slice: each row carries sums over all movements of its key. */
const keySlice = 200;

async function* keyDeviations(database: Database): AsyncGenerator<Deviation> {
  for (let after = ""; ; ) {
    // Every hash that stands anywhere: a movement of a key that is not there must not go unseen.
    const { rows } = await sql<KeyRow>`
      with hashes as (
        select hash as id from keys where hash > ${after} union select key_hash from key_counters where key_hash > ${after}
        union select key_hash from movements where key_hash > ${after} order by 1 limit ${keySlice}
      )
      select hashes.id, ${exact(sql`held_nanos`)} as held, ${exact(sql`used_nanos`)} as used,
        ${exact(sql`charged_nanos`)} as charged, ${exact(sql`running`)} as running,
        (select count(*) from keys where hash = hashes.id) as known,
        (select ${exactSum(sql`case kind when 'hold' then amount_nanos else -amount_nanos end`)} from movements
          where key_hash = hashes.id and kind in ('hold', 'charge', 'release')) as movements_held,
        (select ${exactSum(sql`amount_nanos`)} from movements
          where key_hash = hashes.id and kind = 'charge') as movements_charged,
        (select ${exactSum(sql`amount_nanos`)} from movements
          where key_hash = hashes.id and kind = 'charge' and created_at >= period_start) as movements_used,
        (select cast(count(*) as text) from generations
          where key_hash = hashes.id and status in ('queued', 'running')) as generations_running,
        (select ${exactSum(sql`quote_nanos`)} from generations
          where key_hash = hashes.id and status in ('queued', 'running')) as quotes_running
      from hashes left join key_counters on key_hash = hashes.id order by hashes.id`.execute(database);
    for (const row of rows) yield* keyRowDeviations(row);
    const last = rows.at(-1);
    if (last === undefined || rows.length < keySlice) return;
    after = last.id;
  }
}

function keyRowDeviations(row: KeyRow): Deviation[] {
  const { id } = row;
  const orphan = row.known === 0 ? [{ id, what: "the key's row", expected: "one row", found: "none" }] : [];
  if (row.held === null) return [...orphan, { id, what: "the key's counters", expected: "one row", found: "none" }];
  const held = BigInt(row.held);
  return [
    ...orphan,
    ...differs(id, "key held_nanos", BigInt(row.movements_held), held),
    ...differs(id, "key held_nanos = quotes of what runs", BigInt(row.quotes_running), held),
    ...(held < 0n ? [{ id, what: "key held_nanos is not negative", expected: ">= 0", found: row.held }] : []),
    ...differs(id, "key charged_nanos", BigInt(row.movements_charged), BigInt(row.charged)),
    ...differs(id, "key used_nanos in its period", BigInt(row.movements_used), BigInt(row.used)),
    ...differs(id, "key running", BigInt(row.generations_running), BigInt(row.running)),
  ];
}
