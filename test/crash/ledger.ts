/** What must hold of a data folder when nothing runs on it, told in plain SQL and once more by the router's own check. */
import { expect } from "bun:test";
import { join } from "node:path";
import { checkLedger } from "../../src/accounts/check.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import { query, storedFiles } from "./harness.ts";

/** Each query finds what must not be. Written apart from `check.ts`, so that one can find what the other overlooks. */
const forbidden: Record<string, string> = {
  "a hold that is not released": "select * from account where held_nanos <> 0",
  "a key with a hold or a running generation": "select * from key_counters where held_nanos <> 0 or running <> 0",
  "a generation that has not ended": "select id, status, owner from generations where finished_at is null",
  "an attempt that has not ended": "select * from attempts where status = 'running'",
  "a generation that is charged twice":
    "select generation_id, count(*) n from movements where kind = 'charge' group by 1 having n > 1",
  "a charge without as many pictures":
    "select * from movements m where kind = 'charge' and images <> (select count(*) from images i where i.generation_id = m.generation_id)",
  "a charge for what did not succeed":
    "select * from movements m join generations g on g.id = m.generation_id where kind = 'charge' and g.status <> 'succeeded'",
  "a delivery that is not charged":
    "select * from generations g where status = 'succeeded' and quote_nanos > 0 and not exists (select 1 from movements m where m.generation_id = g.id and kind = 'charge' and amount_nanos = g.cost_nanos)",
  "a success without pictures":
    "select * from generations g where (status = 'succeeded') <> exists (select 1 from images i where i.generation_id = g.id)",
  "a charge above its hold": "select * from generations where cost_nanos > quote_nanos",
  "a hold that is not its charge and its release":
    "select generation_id from movements where generation_id is not null group by 1 having sum(case kind when 'hold' then amount_nanos else -amount_nanos end) <> 0",
  "a balance that is not credits less charges":
    "select * from account where credited_nanos - charged_nanos <> (select coalesce(sum(case kind when 'charge' then -amount_nanos else amount_nanos end), 0) from movements where kind in ('charge', 'credit', 'adjustment'))",
};

/** @throws as a failed expectation, naming what deviates */
export async function expectCleanLedger(dataFolder: string): Promise<void> {
  const found = Object.entries(forbidden).flatMap(([what, sql]) => {
    const rows = query<unknown>(dataFolder, sql);
    return rows.length === 0 ? [] : [{ what, rows }];
  });
  expect(found).toEqual([]);
  const { database, close } = await openSqlite(join(dataFolder, "arouter.db"));
  try {
    expect(await checkLedger(database)).toEqual([]);
  } finally {
    await close();
  }
  expectPicturesThere(dataFolder);
}

/** Every live row has its file. A file without a row is the sweeper's, but never the other way round. */
function expectPicturesThere(dataFolder: string): void {
  const files = new Set(storedFiles(dataFolder));
  const rows = query<{ id: string }>(dataFolder, "select id from images where deleted_at is null");
  expect(rows.filter(({ id }) => !files.has(id))).toEqual([]);
}
