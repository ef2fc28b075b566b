/** Balance, transactions and usage agree with the movements to the nano-dollar, whatever has been asked before. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { checkLedger } from "../../src/accounts/check.ts";
import { addCredit } from "../../src/accounts/ledger.ts";
import { formatUsd } from "../../src/money.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { type Bench, nanos, type RequestName, requests, startBench } from "./support.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await startBench();
});
afterAll(() => bench.stop());

interface Figures {
  requests: number;
  images: number;
  estimated_cost_usd: number;
}
interface Summary {
  start_time: string;
  end_time: string;
  totals: Figures;
  by_provider: Array<Figures & { provider_id: string }>;
  by_model: Array<Figures & { model: string }>;
}
interface Series {
  data_points: Array<Figures & { timestamp: string }>;
}
interface Transactions {
  transactions: Array<{
    id: string;
    type: string;
    amount: number;
    description: string;
    created_at: string;
    generation_id: string | null;
  }>;
  next_page_token: string | null;
}

/** Charges as the movements have them, by key, model or provider. */
function charges(column: string): Map<string, { cost: bigint; images: number }> {
  const rows = bench.sql<{ name: string; cost: string; images: number }>(
    `select ${column} as name, cast(sum(amount_nanos) as text) as cost, sum(images) as images
     from movements where kind = 'charge' group by 1`,
  );
  return new Map(rows.map(({ name, cost, images }) => [name, { cost: BigInt(cost), images }]));
}

const sumOf = (values: Iterable<number>): bigint => [...values].reduce((sum, usd) => sum + nanos(usd), 0n);

async function allTransactions(key: string, limit: number): Promise<Transactions["transactions"]> {
  const rows: Transactions["transactions"] = [];
  for (let token: string | null = ""; token !== null; ) {
    const query: string = token === "" ? "" : `&page_token=${token}`;
    const page: Transactions = await bench.json(`/api/v1/transactions?limit=${limit}${query}`, key);
    expect(page.transactions.length).toBeLessThanOrEqual(limit);
    rows.push(...page.transactions);
    token = page.next_page_token;
  }
  return rows;
}

const step = fc.record({
  request: fc.constantFrom<RequestName>(...(Object.keys(requests) as RequestName[])),
  key: fc.constantFrom("live", "other", "test"),
});

test("after random sequences of real requests every figure is that of the movements", async () => {
  const ports = { clock: systemClock, random: systemRandom };
  await addCredit(bench.database, 9_007_199_254_740_993n, "more than a float can hold", ports);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 10 }), async (steps) => {
      await Promise.all(
        steps.map(({ request, key }) =>
          bench.router.generate(requests[request], {
            key: key === "other" ? bench.other : bench.router.keys[key as "live" | "test"],
          }),
        ),
      );
      await addCredit(bench.database, 123_456_789n, null, ports);
      await addCredit(bench.database, -1n, "one nano back", ports);
      expect(await checkLedger(bench.database)).toEqual([]);
      await compareEverything();
    }),
    { numRuns: 4 },
  );
}, 60_000);

async function compareEverything(): Promise<void> {
  const byKey = charges("key_hash");
  const total = [...byKey.values()].reduce((sum, { cost }) => sum + cost, 0n);
  const credit = BigInt(
    bench.sql<{ sum: string }>(
      "select cast(sum(amount_nanos) as text) as sum from movements where kind in ('credit', 'adjustment')",
    )[0]?.sum ?? 0,
  );
  const balance = await bench.json<{ balance: number; currency: string }>("/api/v1/balance");
  // Beyond 2^53 a number cannot be exact: the nearest one is what is promised.
  expect(balance).toEqual({ balance: Number(formatUsd(credit - total)), currency: "USD" });

  for (const [secret, hash] of [
    [bench.router.keys.live, bench.hashes.live],
    [bench.other, bench.hashes.other],
    [bench.router.keys.test, bench.hashes.test],
  ] as const) {
    const own = byKey.get(hash) ?? { cost: 0n, images: 0 };
    const summary = await bench.json<Summary>("/api/usage/summary", secret);
    expect(nanos(summary.totals.estimated_cost_usd)).toBe(own.cost);
    expect(await bench.json<Summary>(`/api/usage/summary?key_id=${hash}`)).toMatchObject({ totals: summary.totals });
    const transactions = await allTransactions(secret, 3);
    expect(sumOf(transactions.map(({ amount }) => amount))).toBe(-own.cost);
    expect(transactions.every(({ type }) => type === "usage")).toBe(true);
    expect(await bench.json<{ balance: number }>("/api/v1/balance", secret)).toMatchObject({
      balance: own.cost === 0n ? 0 : -Number(own.cost) / 1e9,
    });
  }

  const all = await allTransactions(bench.router.keys.management, 7);
  const movements = bench.sql<{ id: string; kind: string; amount: string }>(
    "select id, kind, cast(amount_nanos as text) as amount from movements where kind in ('charge', 'credit', 'adjustment')",
  );
  expect(new Set(all.map(({ id }) => id))).toEqual(new Set(movements.map(({ id }) => id)));
  expect(all).toHaveLength(movements.length);
  const order = all.map(({ created_at, id }) => created_at + id);
  expect(order).toEqual([...order].sort().reverse());
  for (const { id, kind, amount } of movements) {
    const shown = all.find((row) => row.id === id);
    expect(shown?.amount).toBe(Number(formatUsd(BigInt(kind === "charge" ? `-${amount}` : amount))));
    expect(shown?.type).toBe(kind === "charge" ? "usage" : "credit");
  }

  const summary = await bench.json<Summary>("/api/usage/summary");
  expect(nanos(summary.totals.estimated_cost_usd)).toBe(total);
  for (const [parts, column] of [
    [summary.by_model.map(({ model: name, ...figures }) => ({ name, ...figures })), "model"],
    [summary.by_provider.map(({ provider_id: name, ...figures }) => ({ name, ...figures })), "provider"],
  ] as const) {
    expect(sumOf(parts.map((part) => part.estimated_cost_usd))).toBe(total);
    expect(parts.reduce((sum, part) => sum + part.images, 0)).toBe(summary.totals.images);
    for (const [name, { cost }] of charges(column)) {
      expect(nanos(parts.find((part) => part.name === name)?.estimated_cost_usd ?? -1)).toBe(cost);
    }
  }
  for (const granularity of ["hourly", "daily", "monthly"]) {
    const series = await bench.json<Series>(`/api/usage/timeseries?granularity=${granularity}`);
    expect(sumOf(series.data_points.map((point) => point.estimated_cost_usd))).toBe(total);
    expect(series.data_points.reduce((sum, point) => sum + point.requests, 0)).toBe(summary.totals.requests);
  }
}

test("usage by time, model, provider and key, in buckets that begin on the hour, the day and the month", async () => {
  const at = (time: string) => Date.parse(time);
  const rows: Array<[number, string, string, string, number]> = [
    [at("2025-01-31T23:00:00Z"), bench.hashes.live, "openai/dall-e-2", "openai", 1],
    [at("2025-02-01T00:00:00Z"), bench.hashes.live, "openai/dall-e-3", "openai", 10],
    [at("2025-02-01T05:00:00Z"), bench.hashes.other, "black-forest-labs/flux-1-pro", "replicate", 100],
    [at("2025-02-28T23:00:00Z"), bench.hashes.other, "openai/dall-e-2", "openai", 1000],
    [at("2025-03-01T00:00:00Z"), bench.hashes.live, "openai/dall-e-2", "openai", 10_000],
  ];
  for (const [hour, hash, model, provider, cost] of rows) {
    bench.run(`insert into usage_hours values (${hour}, '${hash}', '${model}', '${provider}', 1, 1, ${cost})`);
  }
  const range = "start_time=2025-01-01&end_time=2025-03-31";
  const series = async (query: string, key?: string) =>
    (await bench.json<Series>(`/api/usage/timeseries?${range}&${query}`, key)).data_points.map((point) => [
      point.timestamp,
      Number(nanos(point.estimated_cost_usd)),
    ]);
  expect(await series("granularity=monthly")).toEqual([
    ["2025-01-01T00:00:00.000Z", 1],
    ["2025-02-01T00:00:00.000Z", 1110],
    ["2025-03-01T00:00:00.000Z", 10_000],
  ]);
  expect(await series("")).toEqual([
    ["2025-01-31T00:00:00.000Z", 1],
    ["2025-02-01T00:00:00.000Z", 110],
    ["2025-02-28T00:00:00.000Z", 1000],
    ["2025-03-01T00:00:00.000Z", 10_000],
  ]);
  expect(await series("granularity=hourly")).toEqual(
    rows.map(([hour, , , , cost]) => [new Date(hour).toISOString(), cost]),
  );
  const cost = async (query: string, key?: string) =>
    Number(nanos((await bench.json<Summary>(`/api/usage/summary?${range}&${query}`, key)).totals.estimated_cost_usd));
  expect(await cost("")).toBe(11_111);
  expect(await cost("model=openai/dall-e-2")).toBe(11_001);
  expect(await cost("model=dall-e-2")).toBe(11_001);
  expect(await cost("provider_id=replicate")).toBe(100);
  expect(await cost(`key_id=${bench.hashes.other}`)).toBe(1100);
  expect(await cost(`key_id=${bench.hashes.other}&model=dall-e-2`)).toBe(1000);
  expect(await cost("", bench.other)).toBe(1100);
  // Whole hours; the answer says which.
  const narrow = await bench.json<Summary>(
    "/api/usage/summary?start_time=2025-02-01T00:30:00Z&end_time=2025-02-01T05:00:00Z",
  );
  expect([narrow.start_time, narrow.end_time, Number(nanos(narrow.totals.estimated_cost_usd))]).toEqual([
    "2025-02-01T00:00:00.000Z",
    "2025-02-01T05:00:00.000Z",
    10,
  ]);
});

test("a key with a limit has what is left of it as its balance", async () => {
  bench.run(`update keys set limit_nanos = 1000000000 where hash = '${bench.hashes.other}'`);
  const used = BigInt(
    bench.sql<{ used: number }>(
      `select used_nanos as used from key_counters where key_hash = '${bench.hashes.other}'`,
    )[0]?.used ?? 0,
  );
  const { balance } = await bench.json<{ balance: number }>("/api/v1/balance", bench.other);
  expect(nanos(balance)).toBe(1_000_000_000n - used);
  bench.run(`update keys set limit_nanos = null where hash = '${bench.hashes.other}'`);
});

test("transactions by type, time and key; credits are the account's, not a key's", async () => {
  await bench.router.generate(requests.two);
  const list = (query: string, key?: string) => bench.json<Transactions>(`/api/v1/transactions?${query}`, key);
  const [newest] = (await list("type=usage&limit=1")).transactions;
  expect(newest).toMatchObject({ amount: -0.036, description: "2 images, openai/dall-e-2 at openai" });
  expect(newest?.generation_id).toStartWith("gen-");
  const credits = (await list("type=credit")).transactions;
  expect(credits.map(({ description }) => description)).toContain("one nano back");
  expect(credits.find(({ description }) => description === "one nano back")?.amount).toBe(-1e-9);
  expect((await list("type=credit", bench.router.keys.live)).transactions).toEqual([]);
  expect((await list(`key_id=${bench.hashes.test}`)).transactions).toEqual([]);
  expect((await list("end_time=2020-01-01")).transactions).toEqual([]);
  const since = await list(`start_time=${newest?.created_at}`);
  expect(since.transactions.map(({ id }) => id)).toEqual([newest?.id ?? ""]);
});

test("bad parameters are refused by name", async () => {
  const cases: Array<[string, string, string]> = [
    ["/api/v1/transactions?limit=0", "limit", "invalid_value"],
    ["/api/v1/transactions?limit=101", "limit", "invalid_value"],
    ["/api/v1/transactions?limit=1&limit=2", "limit", "invalid_value"],
    ["/api/v1/transactions?page_token=x", "page_token", "invalid_value"],
    ["/api/v1/transactions?type=hold", "type", "invalid_value"],
    ["/api/v1/transactions?start_time=yesterday", "start_time", "invalid_value"],
    ["/api/v1/transactions?start_time=2025-02-30", "start_time", "invalid_value"],
    ["/api/v1/transactions?start_time=2025-02-02&end_time=2025-02-01", "end_time", "invalid_value"],
    ["/api/v1/transactions?format=xml", "format", "invalid_value"],
    ["/api/v1/transactions?format=csv&limit=3", "limit", "invalid_value"],
    ["/api/v1/transactions?page=2", "page", "unknown_parameter"],
    ["/api/v1/generations?status=done", "status", "invalid_value"],
    ["/api/v1/generations?key_id=abc", "key_id", "invalid_value"],
    ["/api/v1/generations?q=", "q", "invalid_value"],
    ["/api/v1/balance?x=1", "x", "unknown_parameter"],
    ["/api/usage/summary?granularity=daily", "granularity", "unknown_parameter"],
    ["/api/usage/timeseries?granularity=weekly", "granularity", "invalid_value"],
    ["/api/usage/timeseries?granularity=hourly&start_time=2020-01-01", "start_time", "invalid_value"],
    ["/api/usage/timeseries?model=", "model", "invalid_value"],
  ];
  for (const [path, param, code] of cases) {
    const answer = await bench.router.get(path, bench.router.keys.management);
    const body = (await answer.json()) as { code: string; error: { param: string; code: string; message: string } };
    expect([path, answer.status, body.code, body.error.param]).toEqual([path, 400, code, param]);
  }
  const allowed = await bench.router.get("/api/v1/generations?status=done", bench.router.keys.management);
  expect(((await allowed.json()) as { error: { message: string } }).error.message).toContain("'canceled', 'expired'");
  expect((await bench.router.get("/api/v1/balance", "lr_live_nobody")).status).toBe(401);
  const others = await bench.router.get(`/api/usage/summary?key_id=${bench.hashes.other}`);
  expect([others.status, (await others.json()) as { code: string }]).toMatchObject([404, { code: "not_found" }]);
  const posted = await fetch(`${bench.router.url}/api/usage/summary?key=${bench.router.keys.management}`, {
    method: "POST",
  });
  expect(posted.status).toBe(405);
  expect((await fetch(`${bench.router.url}/api/usage/summary?key=${bench.router.keys.management}`)).status).toBe(200);
});
