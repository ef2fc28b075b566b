/** What has had its time goes; the ledger, the hourly sums and the audit stay. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { checkLedger } from "../../src/accounts/check.ts";
import { type RetentionPorts, sweepGenerations } from "../../src/generation/retention.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import { type Bench, requests, startBench } from "./support.ts";

const hour = 3_600_000;
const day = 24 * hour;
const recent = 60_000;
/** The sweeper looks every five seconds. */
const patienceMs = 12_000;

let bench: Bench;
beforeAll(async () => {
  bench = await startBench({ AROUTER_RATE_LIMIT: "1000" });
});
afterAll(() => bench.stop());

const count = (table: string) => bench.sql<{ n: number }>(`select count(*) as n from ${table}`)[0]?.n ?? 0;

async function until(done: () => boolean): Promise<void> {
  for (const end = performance.now() + patienceMs; !done(); await Bun.sleep(50)) {
    if (performance.now() > end) throw new Error("it has not been swept");
  }
}

test("each kind goes when its time is over, not before", async () => {
  const headers = { "idempotency-key": "order-1" };
  const first = await bench.router.generate(requests.two, { headers });
  await bench.router.generate(requests.refused);
  const kept = { movements: count("movements"), usage_hours: count("usage_hours"), audit: count("audit") };
  expect([
    count("generations"),
    count("attempts"),
    count("images"),
    count("idempotency"),
    count("recent_requests"),
  ]).toEqual([2, 2, 2, 1, 2]);

  bench.router.advance(recent + 1_000);
  await until(() => count("recent_requests") === 0);
  expect(count("idempotency")).toBe(1);

  bench.router.advance(day - 2 * recent);
  const id = first.headers.get("x-arouter-generation-id");
  const repeat = await bench.router.generate(requests.two, { headers });
  expect(repeat.headers.get("x-arouter-generation-id")).toBe(id);
  expect(repeat.status).toBe(410);
  bench.router.advance(2 * recent);
  await until(() => count("idempotency") === 0);
  const renewed = await bench.router.generate(requests.two, { headers });
  expect([renewed.status, count("idempotency")]).toEqual([200, 1]);

  // The first two are 90 days old before the third is.
  bench.router.advance(89 * day - recent);
  expect((await bench.router.get(`/api/v1/generation?id=${id}`)).status).toBe(200);
  bench.router.advance(2 * recent);
  await until(() => count("generations") === 1 && count("idempotency") === 0);
  expect([count("attempts"), count("images")]).toEqual([1, 2]);
  expect((await bench.router.get(`/api/v1/generation?id=${id}`)).status).toBe(404);
  expect(count("movements")).toBe(kept.movements + 2);
  expect(count("usage_hours")).toBe(kept.usage_hours + 1);
  expect(count("audit")).toBe(kept.audit);
  expect(await checkLedger(bench.database)).toEqual([]);
  const all = await bench.json<{ transactions: unknown[] }>("/api/v1/transactions");
  expect(all.transactions).toHaveLength(2);
}, 60_000);

test("a generation that still runs stays, whatever its age; many go in small batches with pauses in between", async () => {
  const folder = mkdtempSync(join(tmpdir(), "arouter-retention-"));
  const { database, close } = await openSqlite(join(folder, "arouter.db"));
  const bulk = 1_000;
  await sql`
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ${bulk})
    insert into generations (id, key_hash, request_id, status, model, provider, requested, has_prompt, images_requested,
      created_at, finished_at, quote_nanos, cost_nanos, price_rule, owner, lease_until)
    select 'gen-' || n, 'k', '', case n when 5 then 'running' else 'failed' end, 'm', 'p', '{}', 0, 1, n,
      case n when 5 then null else n end, 0, 0, '', '', 0 from numbers`.execute(database);
  const ids = async () => (await database.selectFrom("generations").select("id").execute()).map(({ id }) => id);
  const left: number[] = [];
  const clock = {
    now: () => 91 * day,
    sleep: async () => void left.push((await ids()).length),
  };
  const config = { keepPrompts: "hour" };
  await sweepGenerations({ config, database, clock } as unknown as RetentionPorts);
  expect(left).toEqual([900, 800, 700, 600, 500, 400, 300, 200, 100, 1]);
  expect(await ids()).toEqual(["gen-5"]);
  await close();
  rmSync(folder, { recursive: true });
});
