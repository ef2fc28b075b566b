/** `ledger check`: silent after normal use, and it finds each kind of deviation, planted by SQL in a copy. */
import { Database as File } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { checkLedger, type Deviation } from "../../src/accounts/check.ts";
import { addCredit } from "../../src/accounts/ledger.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import { planted } from "./planted.ts";
import { type Bench, requests, startBench } from "./support.ts";

let bench: Bench;
/** $0.036, two images, of the first live key. */
let charged = "";
/** Refused by the provider: held and released. */
let refused = "";
let sandboxed = "";

const day = 86_400_000;

beforeAll(async () => {
  bench = await startBench();
  const idOf = async (answer: Promise<Response>) => (await answer).headers.get("x-arouter-generation-id") ?? "";
  charged = await idOf(bench.router.generate(requests.two));
  refused = await idOf(bench.router.generate(requests.refused));
  sandboxed = await idOf(bench.router.generate(requests.small, { key: bench.router.keys.test }));
  await bench.router.generate(requests.large, { key: bench.other });
  await bench.router.generate(requests.broken, { key: bench.other });
  const ports = { clock: systemClock, random: systemRandom };
  await addCredit(bench.database, 25_000_000_000n, null, ports);
  await addCredit(bench.database, -1n, null, ports);
});
afterAll(() => bench.stop());

/** What is found in a copy after `statements`. */
async function foundAfter(statements: string, options: Parameters<typeof checkLedger>[1] = {}): Promise<Deviation[]> {
  const path = join(bench.router.dataFolder, `copy-${crypto.randomUUID()}.db`);
  bench.run(`vacuum into '${path}'`);
  const file = new File(path);
  file.run(statements);
  file.close();
  const { database, close } = await openSqlite(path);
  try {
    return await checkLedger(database, options);
  } finally {
    await close();
    rmSync(path);
  }
}

test("nothing deviates after normal use, also while something runs", async () => {
  expect(await foundAfter("select 1", { now: Date.now() })).toEqual([]);
  const running = bench.router.generate({ ...requests.small, prompt: "[[slow:1]]" }, { key: bench.router.keys.test });
  const paid = Array.from({ length: 10 }, () => bench.router.generate(requests.small));
  for (let i = 0; i < 10; i++) expect(await checkLedger(bench.database)).toEqual([]);
  await Promise.all([running, ...paid]);
  expect(await checkLedger(bench.database)).toEqual([]);
});

test("sums are exact where numbers are not", async () => {
  const large = 4_611_686_018_427_387_903n; // twice this is just below the largest sum a database can hold
  const credits = `insert into movements (id, created_at, kind, amount_nanos) values ('mov-a', 1, 'credit', ${large}), ('mov-b', 1, 'credit', ${large - 25_000_000_000n});`;
  const account = (amount: bigint) => `${credits} update account set credited_nanos = ${amount}`;
  expect(await foundAfter(account(large * 2n - 1n))).toEqual([]);
  expect(await foundAfter(account(large * 2n))).toEqual([
    { id: "default", what: "account credited_nanos", expected: String(large * 2n - 1n), found: String(large * 2n) },
  ]);
});

describe("each kind of deviation is named:", () => {
  test.each(planted)("%s", async (_name, plant) => {
    const [statement, id, what, expected, was] = plant({ ...bench.hashes, charged, refused, sandboxed });
    const found = await foundAfter(statement, { now: Date.now() });
    const any = (text: string) => (text === "-" ? expect.any(String) : text);
    expect(found).toContainEqual({ id: any(id), what, expected: any(expected), found: any(was) });
  });

  test("records may be gone after 90 days", async () => {
    const gone = `delete from generations; delete from attempts; delete from images`;
    expect(await foundAfter(gone)).toEqual([]);
    expect(await foundAfter(gone, { now: Date.now() + 91 * day })).toEqual([]);
    expect((await foundAfter(gone, { now: Date.now() + 89 * day })).length).toBeGreaterThan(0);
  });

  test("beyond one slice, with progress", async () => {
    const bulk = `
      with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < 6000)
      insert into generations (id, key_hash, request_id, status, model, provider, requested, images_requested, created_at,
        finished_at, quote_nanos, cost_nanos, price_rule, owner, lease_until)
      select 'gen-zz' || printf('%05d', n), '${bench.hashes.live}', '', 'failed', 'm', 'p', '{}', 1, n, n, 0,
        case n when 5999 then 3 else 0 end, '', '', 0 from numbers`;
    const told: Array<[string, number, number]> = [];
    const found = await foundAfter(bulk, { progress: (...step) => told.push(step) });
    expect(found).toEqual([{ id: "gen-zz05999", what: "cost_nanos = charge", expected: "0", found: "3" }]);
    const total = bench.sql<{ n: number }>("select count(*) as n from generations")[0]?.n ?? 0;
    expect(told.slice(0, 2)).toEqual([
      ["generations", 5_000, total + 6_000],
      ["generations", total + 6_000, total + 6_000],
    ]);
  });
});
