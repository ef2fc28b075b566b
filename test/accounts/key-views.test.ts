/** What is shown of a key: its usage by UTC day, week and month, its own view of itself, the models it may use, the command. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KeyObject } from "../../src/accounts/key-view.ts";
import { type Accounts, dayMs, hourMs, refusal, small, smallUsd, startAccounts } from "./support.ts";

/** A Sunday, one hour before midnight UTC; the month ends three days later. */
const sunday = Date.UTC(2026, 6, 26, 23);

let accounts: Accounts;
beforeEach(async () => {
  accounts = await startAccounts({ frozenAt: sunday });
});
afterEach(() => accounts.stop());

const usageOf = ({ usage, usage_daily, usage_weekly, usage_monthly }: KeyObject) => [
  usage,
  usage_daily,
  usage_weekly,
  usage_monthly,
];

test("usage by day, week from Monday, month and life, at UTC boundaries", async () => {
  const { data, key } = await accounts.makeKey();
  const other = await accounts.makeKey();
  const spend = async () => expect((await accounts.router.generate(small, { key })).status).toBe(200);
  const usage = async () => usageOf(await accounts.readKey(data.hash));
  const times = (...factors: number[]) => factors.map((factor) => expect.closeTo(factor * smallUsd, 12));
  expect(await usage()).toEqual([0, 0, 0, 0]);
  await spend();
  expect(await usage()).toEqual(times(1, 1, 1, 1));
  accounts.router.advance(hourMs - 1); // the last millisecond of Sunday
  await spend();
  expect(await usage()).toEqual(times(2, 2, 2, 2));
  accounts.router.advance(1); // Monday
  expect(await usage()).toEqual(times(2, 0, 0, 2));
  await spend();
  expect(await usage()).toEqual(times(3, 1, 1, 3));
  accounts.router.advance(5 * dayMs); // Saturday, the first of August
  expect(await usage()).toEqual(times(3, 0, 1, 0));
  await spend();
  expect(await usage()).toEqual(times(4, 1, 2, 1));

  // The list says the same, key by key.
  const { data: list } = (await (await accounts.call("GET", "/api/v1/keys")).json()) as { data: KeyObject[] };
  for (const listed of list) expect(listed).toEqual(await accounts.readKey(listed.hash));
  expect(usageOf(await accounts.readKey(other.data.hash))).toEqual([0, 0, 0, 0]);
});

test("what is left: used and held are taken off, and it is never below zero", async () => {
  const { data, key } = await accounts.makeKey({ limit: 0.05, limit_reset: "daily" });
  accounts.openai.latencyMs = 1_500;
  const running = accounts.router.generate(small, { key });
  await accounts.openai.arrived();
  expect((await accounts.readKey(data.hash)).limit_remaining).toBe(0.034);
  await running;
  expect((await accounts.readKey(data.hash)).limit_remaining).toBe(0.034);
  expect((await accounts.changeKey(data.hash, { limit: 0.01 })).limit_remaining).toBe(0);
  accounts.router.advance(hourMs);
  expect((await accounts.readKey(data.hash)).limit_remaining).toBe(0.01);
});

describe("a key's own view", () => {
  const own = async (key: string, path = "/v1/key") => {
    const answer = await accounts.router.get(path, key);
    expect(answer.status).toBe(200);
    return ((await answer.json()) as { data: Record<string, unknown> }).data;
  };

  test("a live key: its limit, its usage, its rate", async () => {
    const { data, key } = await accounts.makeKey({
      limit: 1,
      limit_reset: "weekly",
      expires_at: "2100-01-01T00:00:00Z",
      rate_limit: { requests_per_minute: 20, requests_per_day: 5 },
    });
    await accounts.router.generate(small, { key });
    const shown = {
      label: data.label,
      limit: 1,
      limit_reset: "weekly",
      limit_remaining: 0.984,
      usage: smallUsd,
      usage_daily: smallUsd,
      usage_weekly: smallUsd,
      usage_monthly: smallUsd,
      is_free_tier: false,
      expires_at: "2100-01-01T00:00:00.000Z",
      rate_limit: { requests: 20, interval: "60s" },
    };
    expect(await own(key)).toEqual(shown);
    expect(await own(key, "/api/v1/key")).toEqual(shown);
  });

  test("a test key is free tier; a management key may look too", async () => {
    const { test: sandbox, management } = accounts.router.keys;
    expect(await own(sandbox)).toMatchObject({ is_free_tier: true, limit: null, limit_remaining: null, usage: 0 });
    expect(await own(management)).toMatchObject({
      is_free_tier: false,
      rate_limit: { requests: null, interval: "60s" },
    });
    expect((await accounts.router.get("/v1/key", "lr_live_no")).status).toBe(401);
  });

  test("a daily rate is shown where it is the only one", async () => {
    const { key } = await accounts.makeKey({ rate_limit: { requests_per_day: 5 } });
    expect(await own(key)).toMatchObject({ rate_limit: { requests: 5, interval: "1d" } });
  });
});

describe("models", () => {
  const idsFor = async (key: string) => {
    const list = (await (await accounts.router.get("/v1/models", key)).json()) as { data: Array<{ id: string }> };
    return list.data.map(({ id }) => id);
  };
  const flux = "black-forest-labs/flux-1-pro";

  test("only what the key may use is listed; the rest does not exist for it", async () => {
    const { key } = await accounts.makeKey({ allowed_models: ["dall-e-2", flux] });
    expect(await idsFor(key)).toEqual([flux, "openai/dall-e-2"]);
    for (const [path, status] of [
      ["/v1/models/openai/dall-e-2", 200],
      ["/v1/models/dall-e-2", 200],
      ["/v1/models/openai%2Fdall-e-2", 200],
      ["/v1/models/openai/dall-e-2/endpoints", 200],
      ["/v1/models/openai/dall-e-3", 404],
      ["/v1/models/dall-e-3", 404],
      ["/v1/models/openai/dall-e-3/endpoints", 404],
    ] as const) {
      const answer = await accounts.router.get(path, key);
      expect([path, answer.status]).toEqual([path, status]);
      if (status === 404) expect((await refusal(answer)).code).toBe("model_not_found");
      expect((await accounts.router.get(path, accounts.router.keys.management)).status).toBe(200);
    }
  });

  test("a provider that the key may not use takes its models away, but not from a test key", async () => {
    const { key } = await accounts.makeKey({ allowed_providers: ["replicate"] });
    const ids = await idsFor(key);
    expect(ids).toContain(flux);
    // Every model that Replicate serves, and no other.
    const { data } = (await (await accounts.router.get("/v1/models", accounts.router.keys.management)).json()) as {
      data: Array<{ id: string }>;
    };
    const served: string[] = [];
    for (const { id } of data) {
      const endpoints = await accounts.router.get(`/v1/models/${id}/endpoints`, accounts.router.keys.management);
      const routes = ((await endpoints.json()) as { data: Array<{ provider_id: string }> }).data;
      if (routes.some(({ provider_id }) => provider_id === "replicate")) served.push(id);
    }
    expect(ids.sort()).toEqual(served.sort());
    expect(served.length).toBeLessThan(data.length);
    const sandbox = await accounts.makeKey({ type: "test", allowed_providers: ["replicate"] });
    expect(await idsFor(sandbox.key)).toHaveLength(data.length);
    expect((await accounts.router.generate(small, { key: sandbox.key })).status).toBe(200);
    expect(await idsFor(accounts.router.keys.management)).toHaveLength(data.length);
  });
});

describe("the command", () => {
  const dataFolder = mkdtempSync(join(tmpdir(), "arouter-keys-"));
  afterAll(() => rmSync(dataFolder, { recursive: true, force: true }));

  async function arouter(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const child = Bun.spawn([process.execPath, "src/main.ts", "keys", ...args], {
      cwd: join(import.meta.dir, "../.."),
      env: { ...process.env, AROUTER_DATA: dataFolder },
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { code, out, err };
  }

  test("create: every limit, in the words of the Key object", async () => {
    const { out } = await arouter(
      ..."create --name shop --limit 0.000000001 --limit-reset weekly --expires-at 2100-01-01T00:00:00Z".split(" "),
      ..."--allowed-models dall-e-2,openai/dall-e-3 --allowed-providers openai".split(" "),
      ..."--requests-per-minute 3 --requests-per-day 4 --concurrent 5 --json".split(" "),
    );
    expect(JSON.parse(out)).toMatchObject({
      key: expect.stringMatching(/^lr_live_/),
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      name: "shop",
      type: "live",
      limit: 0.000000001,
      limit_reset: "weekly",
      expires_at: "2100-01-01T00:00:00.000Z",
      allowed_models: ["dall-e-2", "openai/dall-e-3"],
      allowed_providers: ["openai"],
      rate_limit: { requests_per_minute: 3, requests_per_day: 4, concurrent: 5 },
    });
    const list = JSON.parse((await arouter("list", "--json")).out);
    expect(list).toEqual([expect.objectContaining({ name: "shop", usage: 0, limit: 0.000000001 })]);
    expect((await arouter("list")).out).toMatch(/USED +LIMIT +LEFT[\s\S]*\$0 +\$0.000000001 weekly +\$0.000000001/);
  }, 20_000);

  test("what makes no sense is refused with a reason and makes no key", async () => {
    for (const [args, reason] of [
      ["--limit-reset daily", "--limit-reset needs --limit"],
      ["--limit 0.0000000001", "9 decimals"],
      ["--limit five", "Use US dollars"],
      ["--limit 1 --limit-reset yearly", "Allowed choices"],
      ["--allowed-models dall-e-9", "dall-e-9"],
      ["--allowed-providers nobody", "nobody"],
      ["--concurrent 0", "whole number"],
      ["--expires-at 2020-01-01T00:00:00Z", "past"],
      ["--type management --limit 1", "management"],
    ] as const) {
      const { code, out, err } = await arouter("create", "--name", "wrong", ...args.split(" "));
      expect([args, code, out, err.includes(reason)]).toEqual([args, 1, "", true]);
    }
    expect((await arouter("list")).out).not.toContain("wrong");
  }, 30_000);

  test("disable and delete by unique name or hash", async () => {
    const made = [];
    for (const name of ["one", "twin", "twin"]) {
      made.push(JSON.parse((await arouter("create", "--name", name, "--json")).out) as { hash: string });
    }
    expect(JSON.parse((await arouter("disable", "one", "--json")).out)).toMatchObject({ disabled: true });
    const twin = await arouter("disable", "twin");
    expect([twin.code, twin.err.includes("2 keys are named")]).toEqual([1, true]);
    expect((await arouter("delete", made[1]?.hash ?? "")).code).toBe(0);
    expect((await arouter("disable", "twin")).code).toBe(0);
    const list = JSON.parse((await arouter("list", "--json")).out) as KeyObject[];
    expect(list.filter(({ disabled }) => disabled).map(({ name }) => name)).toEqual(["twin", "one"]);
  }, 30_000);
});
