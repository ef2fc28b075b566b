/** Spending limits of a key: exact under races, reset at UTC boundaries, changed at once. */
import { afterEach, describe, expect, test } from "bun:test";
import type { LimitReset } from "../../src/database.ts";
import {
  type Accounts,
  atOnce,
  dayMs,
  hourMs,
  messageOf,
  refusal,
  small,
  smallNanos,
  smallUsd,
  startAccounts,
} from "./support.ts";

/** Thursday, 2026-12-31, half an hour before midnight UTC. */
const newYearsEve = Date.UTC(2026, 11, 31, 23, 30);
/** Long enough to do something meanwhile, also on a busy machine. */
const slowMs = 1_500;
const halfHourMs = hourMs / 2;

let accounts: Accounts;
afterEach(() => accounts.stop());

const status = async (key: string, body: object = small) => (await accounts.router.generate(body, { key })).status;
const counters = (hash: string) =>
  accounts.sql(`select held_nanos, used_nanos, charged_nanos, running from key_counters where key_hash = '${hash}'`);

describe("resets", () => {
  // Spent on New Year's Eve; when does the next request fit?
  const cases: Array<[LimitReset | null, resets: number | null]> = [
    ["daily", Date.UTC(2027, 0, 1)],
    ["weekly", Date.UTC(2027, 0, 4)], // a Monday
    ["monthly", Date.UTC(2027, 0, 1)],
    [null, null],
  ];
  for (const [reset, resets] of cases) {
    test(`${reset ?? "lifetime"}: the message names limit, used and reset; to the millisecond`, async () => {
      accounts = await startAccounts({ frozenAt: newYearsEve });
      const { data, key } = await accounts.makeKey({ limit: 0.02, limit_reset: reset });
      expect(await status(key)).toBe(200);
      const refused = await accounts.router.generate(small, { key });
      expect([refused.status, refused.headers.get("x-should-retry")]).toEqual([402, "false"]);
      const until = resets === null ? "It does not reset." : `It resets at ${new Date(resets).toISOString()}.`;
      expect(await messageOf(refused)).toBe(
        `This request may cost up to $0.016, but this key's ${reset ?? "lifetime"} limit is $0.02: $0.016 is used and $0 is held by running requests, which leaves $0.004. ${until}`,
      );
      if (resets === null) {
        accounts.router.advance(400 * dayMs);
        expect(await status(key)).toBe(402);
        return;
      }
      accounts.router.advance(resets - newYearsEve - 1);
      expect(await status(key)).toBe(402);
      accounts.router.advance(1);
      expect(await accounts.readKey(data.hash)).toMatchObject({ limit_remaining: 0.02, usage: smallUsd });
      expect(await status(key)).toBe(200);
      expect(await status(key)).toBe(402);
    });
  }

  test("a month of 28 days, and a year's first Monday in the year before", async () => {
    accounts = await startAccounts({ frozenAt: Date.UTC(2027, 1, 28, 23, 59, 59, 999) }); // a Sunday
    for (const reset of ["weekly", "monthly"]) {
      const { key } = await accounts.makeKey({ limit: smallUsd, limit_reset: reset });
      expect([await status(key), await status(key)]).toEqual([200, 402]);
      accounts.router.advance(1); // the first of March, a Monday
      expect([await status(key), await status(key)]).toEqual([200, 402]);
      accounts.router.advance(-1);
    }
  });

  test("a hold that crosses the boundary is charged in the new period, and held in it all the while", async () => {
    accounts = await startAccounts({ frozenAt: newYearsEve });
    const { data, key } = await accounts.makeKey({ limit: 2 * smallUsd, limit_reset: "daily" });
    expect(await status(key)).toBe(200);
    accounts.openai.latencyMs = slowMs;
    const crossing = accounts.router.generate(small, { key });
    await accounts.openai.arrived(2);
    accounts.openai.latencyMs = 0;
    accounts.router.advance(halfHourMs);
    // A new day with room for two, of which the one that runs has one.
    expect(await status(key)).toBe(200);
    expect(await status(key)).toBe(402);
    expect((await crossing).status).toBe(200);
    expect(counters(data.hash)).toEqual([
      { held_nanos: 0, used_nanos: 2 * smallNanos, charged_nanos: 3 * smallNanos, running: 0 },
    ]);
    expect(await status(key)).toBe(402);
    expect(await accounts.readKey(data.hash)).toMatchObject({
      limit_remaining: 0,
      usage_daily: 2 * smallUsd,
      usage: 3 * smallUsd,
    });
  });

  test("a hold that crosses the boundary leaves behind what was used before it", async () => {
    accounts = await startAccounts({ frozenAt: newYearsEve });
    const { data, key } = await accounts.makeKey({ limit: 2 * smallUsd, limit_reset: "daily" });
    expect(await status(key)).toBe(200);
    accounts.openai.latencyMs = slowMs;
    const crossing = accounts.router.generate(small, { key });
    await accounts.openai.arrived(2);
    accounts.openai.latencyMs = 0;
    accounts.router.advance(halfHourMs);
    expect((await crossing).status).toBe(200);
    expect(await accounts.readKey(data.hash)).toMatchObject({ limit_remaining: smallUsd });
    expect([await status(key), await status(key)]).toEqual([200, 402]);
  });

  test("a hold of yesterday that is released frees today's budget", async () => {
    accounts = await startAccounts({ frozenAt: newYearsEve });
    const { data, key } = await accounts.makeKey({ limit: smallUsd, limit_reset: "daily" });
    accounts.openai.latencyMs = slowMs;
    accounts.openai.next({ kind: "delay", ms: slowMs });
    const failing = accounts.router.generate({ ...small, prompt: "[[500]]" }, { key });
    await accounts.openai.arrived();
    accounts.openai.latencyMs = 0;
    accounts.router.advance(halfHourMs);
    expect(await status(key)).toBe(402);
    expect((await failing).ok).toBe(false);
    expect(counters(data.hash)).toEqual([{ held_nanos: 0, used_nanos: 0, charged_nanos: 0, running: 0 }]);
    expect(await status(key)).toBe(200);
  });

  test("a request that waits over the boundary is counted when it is admitted", async () => {
    accounts = await startAccounts({ frozenAt: newYearsEve });
    const { data, key } = await accounts.makeKey({ limit: smallUsd, limit_reset: "daily" });
    expect(await status(key)).toBe(200);
    const waiting = accounts.beforeAdmission(() => status(key));
    await Bun.sleep(200);
    accounts.router.advance(halfHourMs);
    expect(await waiting).toBe(200);
    expect(await accounts.readKey(data.hash)).toMatchObject({ limit_remaining: 0, usage_daily: smallUsd });
  });

  test("a clock that is set back over a boundary forgives nothing and keeps the ledger whole", async () => {
    accounts = await startAccounts({ frozenAt: newYearsEve + halfHourMs });
    const { data, key } = await accounts.makeKey({ limit: 2 * smallUsd, limit_reset: "daily" });
    expect(await status(key)).toBe(200);
    accounts.router.advance(-halfHourMs); // yesterday again
    expect(await status(key)).toBe(200);
    expect(await status(key)).toBe(402);
    accounts.router.advance(halfHourMs);
    expect(await status(key)).toBe(402);
    expect(counters(data.hash)).toEqual([
      { held_nanos: 0, used_nanos: 2 * smallNanos, charged_nanos: 2 * smallNanos, running: 0 },
    ]);
    const { start } = accounts.sql<{ start: number }>(
      `select period_start start from key_counters where key_hash = '${data.hash}'`,
    )[0] ?? { start: 0 };
    expect(
      accounts.sql(
        `select sum(amount_nanos) sum from movements where kind = 'charge' and key_hash = '${data.hash}' and created_at >= ${start}`,
      ),
    ).toEqual([{ sum: 2 * smallNanos }]);
  });
});

describe("changes act at once", () => {
  test("raised, lowered below what is used, zero, lifted", async () => {
    accounts = await startAccounts();
    const { data, key } = await accounts.makeKey({ limit: smallUsd });
    expect([await status(key), await status(key)]).toEqual([200, 402]);
    await accounts.changeKey(data.hash, { limit: 2 * smallUsd });
    expect([await status(key), await status(key)]).toEqual([200, 402]);
    const lowered = await accounts.changeKey(data.hash, { limit: smallUsd / 2 });
    expect(lowered).toMatchObject({ limit_remaining: 0, usage: 2 * smallUsd });
    const refused = await accounts.router.generate(small, { key });
    expect(await messageOf(refused)).toContain("limit is $0.008: $0.032 is used and $0 is held");
    await accounts.changeKey(data.hash, { limit: 0 });
    expect(await status(key)).toBe(402);
    await accounts.changeKey(data.hash, { limit: null });
    expect(await status(key)).toBe(200);
    // A limit that comes back counts what was spent while there was none.
    await accounts.changeKey(data.hash, { limit: 3.9 * smallUsd });
    expect(await status(key)).toBe(402);
    await accounts.changeKey(data.hash, { limit: 4 * smallUsd });
    expect([await status(key), await status(key)]).toEqual([200, 402]);
  });

  test("another limit_reset forgives nothing: what was spent in the period that now holds counts", async () => {
    accounts = await startAccounts({ frozenAt: Date.UTC(2026, 11, 30, 12) }); // Wednesday
    const { data, key } = await accounts.makeKey({ limit: 10, limit_reset: "daily" });
    expect(await status(key)).toBe(200);
    accounts.router.advance(dayMs); // Thursday
    expect(await status(key)).toBe(200);
    expect(await status(key)).toBe(200);
    const remainingWith = async (reset: LimitReset | null) => {
      const { limit_remaining } = await accounts.changeKey(data.hash, { limit: 1, limit_reset: reset });
      return limit_remaining;
    };
    expect(await remainingWith("daily")).toBe(0.968);
    expect(await remainingWith("monthly")).toBe(0.952);
    expect(await remainingWith("weekly")).toBe(0.952);
    expect(await remainingWith(null)).toBe(0.952);
    await accounts.changeKey(data.hash, { limit: 3 * smallUsd, limit_reset: "monthly" });
    expect(await status(key)).toBe(402);
    accounts.router.advance(dayMs); // a new month in the same week
    expect(await status(key)).toBe(200);
    expect(await remainingWith("weekly")).toBe(0.936);
    expect(await remainingWith("daily")).toBe(0.984);
  });

  test("disabled in mid-flight: the running generation comes to its end, nothing new begins", async () => {
    accounts = await startAccounts();
    const { data, key } = await accounts.makeKey({ limit: 1 });
    accounts.openai.latencyMs = slowMs;
    const running = accounts.router.generate(small, { key });
    await accounts.openai.arrived();
    await accounts.changeKey(data.hash, { disabled: true });
    expect((await refusal(await accounts.router.generate(small, { key }))).code).toBe("key_disabled");
    expect((await running).status).toBe(200);
    expect(await accounts.readKey(data.hash)).toMatchObject({ usage: smallUsd, limit_remaining: 0.984 });
  });

  for (const [changed, setting, expected] of [
    ["disabled", "disabled = 1", "key_disabled"],
    ["deleted", "deleted_at = 1", "invalid_api_key"],
    ["expired", "expires_at = 1", "key_expired"],
    ["limited", "limit_nanos = 1", "spend_limit_exceeded"],
    ["kept from the model", `allowed_models = '["dall-e-3"]'`, "model_not_allowed"],
    ["kept from the provider", `allowed_providers = '["stability"]'`, "provider_not_allowed"],
    ["slowed down", "concurrent = 0", "rate_limit_exceeded"],
  ] as const) {
    test(`${changed} after a request came in and before it was admitted: it is refused`, async () => {
      accounts = await startAccounts();
      const { data, key } = await accounts.makeKey();
      const answers = await accounts.beforeAdmission(
        () => atOnce(3, () => accounts.router.generate(small, { key })),
        `update keys set ${setting} where hash = '${data.hash}'`,
      );
      for (const answer of answers) expect((await refusal(answer)).code).toBe(expected);
      expect(accounts.openai.billed).toBe(0);
    });
  }

  test("lowered in mid-flight: what is held counts already", async () => {
    accounts = await startAccounts();
    const { data, key } = await accounts.makeKey({ limit: 1 });
    accounts.openai.latencyMs = slowMs;
    const running = accounts.router.generate(small, { key });
    await accounts.openai.arrived();
    accounts.openai.latencyMs = 0;
    await accounts.changeKey(data.hash, { limit: 1.5 * smallUsd });
    const refused = await accounts.router.generate(small, { key });
    expect([refused.status, await messageOf(refused)]).toEqual([402, expect.stringContaining("$0.016 is held")]);
    expect((await running).status).toBe(200);
    expect(await status(key)).toBe(402);
  });
});
