/** Requests per minute and day, generations at once: exact to the millisecond and to the request. */
import { afterEach, describe, expect, test } from "bun:test";
import { type Accounts, atOnce, count, dayMs, messageOf, minuteMs, refusal, small, startAccounts } from "./support.ts";

const noon = Date.UTC(2026, 6, 22, 12);
let accounts: Accounts;
afterEach(() => accounts.stop());

const rateHeaders = ({ headers }: Response) =>
  ["limit", "remaining", "reset"].map((name) => Number(headers.get(`x-ratelimit-${name}`) ?? Number.NaN));
const seconds = (milliseconds: number) => Math.ceil(milliseconds / 1000);

describe("per minute", () => {
  test("the window slides: a request counts for sixty seconds, not a millisecond less or more", async () => {
    accounts = await startAccounts({ frozenAt: noon });
    const { router } = accounts;
    const { key } = await accounts.makeKey({ rate_limit: { requests_per_minute: 2 } });
    const first = await router.generate(small, { key });
    expect([first.status, ...rateHeaders(first)]).toEqual([200, 2, 1, seconds(noon + minuteMs)]);
    router.advance(20_000);
    const second = await router.generate(small, { key });
    expect([second.status, ...rateHeaders(second)]).toEqual([200, 2, 0, seconds(noon + minuteMs)]);
    router.advance(39_999); // 59.999 s after the first
    const third = await router.generate(small, { key });
    expect([third.status, ...rateHeaders(third)]).toEqual([429, 2, 0, seconds(noon + minuteMs)]);
    expect([third.headers.get("retry-after"), third.headers.get("retry-after-ms")]).toEqual(["1", "1"]);
    expect(third.headers.get("x-should-retry")).toBe("true");
    expect(third.headers.get("x-arouter-cost-usd")).toBe("0");
    expect(await refusal(third)).toEqual({ status: 429, code: "rate_limit_exceeded", param: null });
    router.advance(1); // 60 s after the first: one more fits, and only one
    expect((await router.generate(small, { key })).status).toBe(200);
    const again = await router.generate(small, { key });
    expect([again.status, again.headers.get("retry-after-ms")]).toEqual([429, "20000"]);
    expect(accounts.openai.billed).toBe(3);
  });

  test("after the limit has been lowered, Retry-After waits for as many as must go", async () => {
    accounts = await startAccounts({ frozenAt: noon });
    const { router } = accounts;
    const { data, key } = await accounts.makeKey({ rate_limit: { requests_per_minute: 10 } });
    for (let second = 0; second < 4; second += 1) {
      expect((await router.generate(small, { key })).status).toBe(200);
      router.advance(1000);
    }
    await accounts.changeKey(data.hash, { rate_limit: { requests_per_minute: 2 } });
    const refused = await router.generate(small, { key });
    // Counted at 0, 1, 2 and 3 s; now it is 4 s. Below two are counted once the one of second 2 is a minute old.
    expect([refused.status, refused.headers.get("retry-after-ms")]).toEqual([429, "58000"]);
    router.advance(57_999);
    expect((await router.generate(small, { key })).status).toBe(429);
    router.advance(1);
    expect((await router.generate(small, { key })).status).toBe(200);
  });

  test("37 of 200 at once", async () => {
    accounts = await startAccounts({ frozenAt: noon });
    const { key } = await accounts.makeKey({ type: "test", rate_limit: { requests_per_minute: 37 } });
    const answers = await atOnce(200, () => accounts.router.generate(small, { key }));
    expect([count(answers, 200), count(answers, 429)]).toEqual([37, 163]);
  }, 30_000);

  test("what was refused counts for nothing; a repeat that joins counts", async () => {
    accounts = await startAccounts({ frozenAt: noon });
    const { router } = accounts;
    const { data, key } = await accounts.makeKey({
      limit: 0,
      rate_limit: { requests_per_minute: 3, requests_per_day: 4 },
    });
    expect((await router.generate({ ...small, n: 99 }, { key })).status).toBe(400);
    const poor = await router.generate(small, { key });
    expect([poor.status, ...rateHeaders(poor)]).toEqual([402, 3, 3, seconds(noon)]);
    await accounts.changeKey(data.hash, { limit: null });
    const headers = { "idempotency-key": "joined" };
    for (const [status, remaining] of [
      [200, 2],
      [200, 1],
      [200, 0],
      [429, 0],
    ]) {
      const answer = await router.generate(small, { key, headers });
      expect([answer.status, rateHeaders(answer)[1]]).toEqual([status, remaining]);
    }
    expect(accounts.openai.billed).toBe(1);
    router.advance(minuteMs);
    expect((await router.generate(small, { key, headers })).status).toBe(200);
    const spent = await router.generate(small, { key, headers });
    expect([spent.status, await messageOf(spent)]).toEqual([429, expect.stringContaining("4 requests per day")]);
  });

  test("AROUTER_RATE_LIMIT holds for keys without a limit of their own", async () => {
    accounts = await startAccounts({ frozenAt: noon, env: { AROUTER_RATE_LIMIT: "2" } });
    const { router } = accounts;
    const generous = await accounts.makeKey({ rate_limit: { requests_per_minute: 4 } });
    const strict = await accounts.makeKey({ rate_limit: { requests_per_minute: 1 } });
    for (const [key, limit] of [
      [router.keys.live, 2],
      [generous.key, 4],
      [strict.key, 1],
    ] as const) {
      const answers = await atOnce(6, () => router.generate(small, { key }));
      expect([count(answers, 200), count(answers, 429)]).toEqual([limit, 6 - limit]);
      expect(rateHeaders(answers[0] as Response)[0]).toBe(limit);
      const own = (await (await router.get("/v1/key", key)).json()) as { data: { rate_limit: unknown } };
      expect(own.data.rate_limit).toEqual({ requests: limit, interval: "60s" });
    }
  });
});

describe("per day", () => {
  test("the count starts anew at midnight UTC", async () => {
    accounts = await startAccounts({ frozenAt: noon });
    const { router } = accounts;
    const midnight = Date.UTC(2026, 6, 23);
    const { key } = await accounts.makeKey({ rate_limit: { requests_per_day: 2 } });
    const first = await router.generate(small, { key });
    expect([first.status, ...rateHeaders(first)]).toEqual([200, 2, 1, seconds(midnight)]);
    expect((await router.generate(small, { key })).status).toBe(200);
    router.advance(midnight - noon - 1);
    const refused = await router.generate(small, { key });
    expect([refused.status, ...rateHeaders(refused)]).toEqual([429, 2, 0, seconds(midnight)]);
    expect([refused.headers.get("retry-after"), refused.headers.get("retry-after-ms")]).toEqual(["1", "1"]);
    expect((await refusal(refused)).code).toBe("rate_limit_exceeded");
    router.advance(1);
    const next = await router.generate(small, { key });
    expect([next.status, ...rateHeaders(next)]).toEqual([200, 2, 1, seconds(midnight + dayMs)]);
  });

  test("37 of 200 at once", async () => {
    accounts = await startAccounts({ frozenAt: noon });
    const { key } = await accounts.makeKey({ type: "test", rate_limit: { requests_per_day: 37 } });
    const answers = await atOnce(200, () => accounts.router.generate(small, { key }));
    expect([count(answers, 200), count(answers, 429)]).toEqual([37, 163]);
  }, 30_000);

  test("no limit, no headers", async () => {
    accounts = await startAccounts();
    const answer = await accounts.router.generate(small);
    expect([answer.status, ...rateHeaders(answer)]).toEqual([200, Number.NaN, Number.NaN, Number.NaN]);
  });
});

describe("at once", () => {
  test("never more than three at the provider, and three again when they have ended", async () => {
    accounts = await startAccounts();
    const { openai, router } = accounts;
    const { data, key } = await accounts.makeKey({ rate_limit: { concurrent: 3 } });
    openai.latencyMs = 1_500;
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, openai.requests.filter(({ outcome }) => outcome === "open").length);
    }, 5);
    for (let round = 1; round <= 2; round += 1) {
      const answers = await atOnce(40, () => router.generate(small, { key }));
      expect([count(answers, 200), count(answers, 429)]).toEqual([3, 37]);
      const refused = answers.find(({ status }) => status === 429) as Response;
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await messageOf(refused)).toContain("3 generations at once");
      expect(openai.billed).toBe(3 * round);
    }
    clearInterval(watch);
    expect(most).toBe(3);
    expect(accounts.sql(`select running, day_requests from key_counters where key_hash = '${data.hash}'`)).toEqual([
      { running: 0, day_requests: 6 },
    ]);
  }, 30_000);

  test("a failed generation gives its place back; a repeat that joins needs none", async () => {
    accounts = await startAccounts();
    const { openai, router } = accounts;
    const { key } = await accounts.makeKey({ rate_limit: { concurrent: 1 } });
    openai.next({ kind: "answer", status: 500, body: { error: { message: "no" } } });
    expect((await router.generate(small, { key })).status).toBe(502);
    openai.latencyMs = 500;
    const headers = { "idempotency-key": "one" };
    const answers = await atOnce(5, () => router.generate(small, { key, headers }));
    expect(count(answers, 200)).toBe(5);
  });
});
