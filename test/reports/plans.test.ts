/** Every query of the reports and of the sweeps finds its rows by an index: none grows slower with the tables. */
import { Database as File } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { sweepClaims, sweepGenerations, sweepRecentRequests } from "../../src/generation/retention.ts";
import { systemClock } from "../../src/ports.ts";
import { type Bench, requests, startBench } from "./support.ts";

let bench: Bench;
const statements = new Set<string>();
const { query } = File.prototype;

beforeAll(async () => {
  bench = await startBench();
  await bench.router.generate(requests.small);
  // Whatever the driver prepares from now on is looked at.
  File.prototype.query = function record(this: File, sql: string) {
    statements.add(sql);
    return query.call(this, sql);
  } as typeof query;
});
afterAll(async () => {
  File.prototype.query = query;
  await bench.stop();
});

/** Steps of the database's plan, e.g. `SEARCH movements USING INDEX …`. */
function planOf(sql: string): string[] {
  const file = new File(join(bench.router.dataFolder, "arouter.db"), { readonly: true });
  try {
    return (query.call(file, `explain query plan ${sql}`).all() as Array<{ detail: string }>).map(
      ({ detail }) => detail,
    );
  } finally {
    file.close();
  }
}

const large = /\b(generations|attempts|images|movements|usage_hours|idempotency|recent_requests|audit)\b/;
const scan = /^SCAN (generations|attempts|images|movements|usage_hours|idempotency|recent_requests|audit)\b/;

async function plansDuring(work: () => Promise<unknown>): Promise<Map<string, string[]>> {
  statements.clear();
  await work();
  const looked = [...statements].filter((sql) => /^(select|with|update|delete)/i.test(sql) && large.test(sql));
  expect(looked.length).toBeGreaterThan(0);
  return new Map(looked.map((sql) => [sql, planOf(sql)]));
}

function expectNoScan(plans: Map<string, string[]>): void {
  for (const [sql, plan] of plans) {
    // The one row of a walk's end is no walk, and what runs now is little.
    if (plan.some((step) => scan.test(step))) throw new Error(`${sql}\n${plan.join("\n")}`);
  }
}

/** A list is walked in the order of its index: nothing is collected and sorted. */
function expectNoSort(plans: Map<string, string[]>): void {
  for (const [sql, plan] of plans) {
    if (plan.some((step) => step.includes("TEMP B-TREE FOR ORDER BY"))) throw new Error(`${sql}\n${plan.join("\n")}`);
  }
}

const token = Buffer.from("1800000000000 gen-01m800000000000000000000").toString("base64url");
const moment = "start_time=2025-01-01&end_time=2030-01-01";

test("generations, by every filter and from every page", async () => {
  const filters = [
    "",
    "model=dall-e-2",
    "provider_id=openai",
    "status=failed",
    "status=running",
    "status=succeeded",
    "status=expired",
    "q=cup",
  ];
  for (const one of filters) {
    for (const rest of [
      "",
      moment,
      `page_token=${token}`,
      `${moment}&page_token=${token}`,
      "provider_id=openai&q=cup&status=failed",
    ]) {
      const wanted = new URLSearchParams(`${one}&${rest}`);
      const path = `/api/v1/generations?${new URLSearchParams(Object.fromEntries(wanted))}`;
      for (const key of [bench.router.keys.management, bench.router.keys.live]) {
        const plans = await plansDuring(() => bench.router.get(path, key));
        try {
          // The newest of all, from the first page on, is the one walk that needs no bound.
          const walk = /^SCAN generations USING (COVERING )?INDEX generations_by_time$/;
          for (const [sql, plan] of plans)
            plans.set(
              sql,
              plan.filter((step) => !(walk.test(step) && sql.includes("limit"))),
            );
          expectNoScan(plans);
          expectNoSort(plans);
        } catch (error) {
          throw new Error(path, { cause: error });
        }
      }
    }
  }
}, 20_000);

test("a filter that leaves little walks its own index", async () => {
  const cases: Array<[path: string, index: string, own?: boolean]> = [
    ["/api/v1/generations", "generations_by_time"],
    ["/api/v1/generations", "generations_by_key", true],
    ["/api/v1/generations?model=dall-e-2", "generations_by_model"],
    ["/api/v1/generations?provider_id=openai", "generations_by_provider"],
    ["/api/v1/generations?status=failed", "generations_by_status"],
    ["/api/v1/transactions?type=usage", "movements_by_kind"],
    ["/api/v1/transactions", "movements_by_key", true],
    ["/api/usage/summary", "sqlite_autoindex_usage_hours_1"],
    ["/api/usage/summary", "usage_hours_by_key", true],
  ];
  for (const [path, index, own = false] of cases) {
    const { live, management } = bench.router.keys;
    const plans = await plansDuring(() => bench.router.get(path, own ? live : management));
    const table = index.replace(/^sqlite_autoindex_|_by_.*$|_1$/g, "");
    const steps = [...plans.values()].flat().filter((step) => new RegExp(`^(SEARCH|SCAN) ${table} `).test(step));
    expect(steps.length).toBeGreaterThan(0);
    for (const step of steps)
      expect([path, own, step]).toEqual([path, own, expect.stringMatching(new RegExp(`INDEX ${index}\\b`))]);
  }
});

test("transactions and balance", async () => {
  for (const query of [
    "",
    moment,
    `page_token=${token}`,
    `${moment}&page_token=${token}`,
    "type=credit",
    "type=usage",
  ]) {
    for (const key of [bench.router.keys.management, bench.router.keys.live]) {
      if (key === bench.router.keys.live && query === "type=credit") continue;
      const plans = await plansDuring(() => bench.router.get(`/api/v1/transactions?${query}`, key));
      expectNoScan(plans);
      expectNoSort(plans);
    }
  }
  statements.clear();
  await bench.router.get("/api/v1/balance");
  await bench.router.get("/api/v1/balance", bench.router.keys.management);
  expect([...statements].filter((sql) => large.test(sql))).toEqual([]);
});

test("usage", async () => {
  for (const filter of ["", "model=dall-e-2", "provider_id=openai", moment]) {
    for (const key of [bench.router.keys.management, bench.router.keys.live]) {
      expectNoScan(await plansDuring(() => bench.router.get(`/api/usage/summary?${filter}`, key)));
      expectNoScan(await plansDuring(() => bench.router.get(`/api/usage/timeseries?${filter}`, key)));
    }
  }
});

test("sweeps", async () => {
  bench.run("insert into idempotency values ('k', 'i', 'f', 'g', 1); insert into recent_requests values ('k', 1)");
  bench.run("update generations set created_at = 1, finished_at = 1");
  const config = { keepPrompts: "hour" };
  const ports = { config, database: bench.database, clock: systemClock } as unknown as Parameters<
    typeof sweepGenerations
  >[0];
  for (const sweep of [sweepGenerations, sweepClaims, sweepRecentRequests]) {
    expectNoScan(await plansDuring(() => sweep(ports)));
  }
});

test("what the server looks for every second or two beside its requests", async () => {
  expectNoScan(
    await plansDuring(async () => {
      const running = bench.router.generate(
        { ...requests.small, prompt: "[[slow:4]]" },
        { key: bench.router.keys.test },
      );
      await Bun.sleep(3_500);
      expect([...statements].some((sql) => sql.includes("lease_until"))).toBe(true);
      expect([...statements].some((sql) => sql.includes('"cancel_requested" ='))).toBe(true);
      await running;
    }),
  );
}, 20_000);
