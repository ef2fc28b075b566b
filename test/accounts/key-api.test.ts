/** The Key API: what is accepted, what is refused and why, and that every change acts at once and is written down. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { KeyObject } from "../../src/accounts/key-view.ts";
import { type Accounts, type MadeKey, refusal, small, startAccounts } from "./support.ts";

let accounts: Accounts;
beforeAll(async () => {
  accounts = await startAccounts();
});
afterAll(() => accounts.stop());

const keysPath = "/api/v1/keys";
const unknownHash = "0".repeat(64);
const hashOf = (secret: string) => createHash("sha256").update(secret).digest("hex");

test("a new key: 201, the whole object, and a secret that is shown once and works", async () => {
  const expires = "2100-01-31T12:00:00+08:00";
  const wanted = {
    name: "web shop",
    limit: 5.25,
    limit_reset: "monthly",
    expires_at: expires,
    allowed_providers: ["openai"],
    allowed_models: ["dall-e-2", "openai/dall-e-3"],
    rate_limit: { requests_per_minute: 60, requests_per_day: 1000, concurrent: 4 },
  };
  const answer = await accounts.call("POST", keysPath, wanted);
  expect(answer.status).toBe(201);
  const { data, key } = (await answer.json()) as MadeKey;
  expect(key).toMatch(/^lr_live_[0-9A-Za-z]{32}$/);
  expect(data).toEqual({
    hash: hashOf(key),
    name: "web shop",
    label: `${key.slice(0, 12)}…${key.slice(-4)}`,
    key_type: "regular",
    type: "live",
    disabled: false,
    limit: 5.25,
    limit_remaining: 5.25,
    limit_reset: "monthly",
    allowed_providers: ["openai"],
    allowed_models: ["dall-e-2", "openai/dall-e-3"],
    usage: 0,
    usage_daily: 0,
    usage_weekly: 0,
    usage_monthly: 0,
    rate_limit: wanted.rate_limit,
    webhook_url: null,
    created_at: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T.*Z$/),
    updated_at: null,
    expires_at: "2100-01-31T04:00:00.000Z",
  });
  expect((await accounts.router.generate(small, { key })).status).toBe(200);
  expect(JSON.stringify(accounts.sql("select * from keys"))).not.toContain(key);
  expect(JSON.stringify(accounts.sql("select * from audit"))).not.toContain(key);
});

test("type decides the prefix and what the key is for", async () => {
  const kinds = { live: "lr_live_", test: "lr_test_", management: "lr_mgmt_" };
  for (const [type, prefix] of Object.entries(kinds)) {
    const { data, key } = await accounts.makeKey({ type });
    expect(key).toStartWith(prefix);
    expect([data.type, data.key_type]).toEqual([type as "live", type === "management" ? "management" : "regular"]);
  }
  const { key } = await accounts.makeKey({ type: "management" });
  expect((await accounts.call("GET", keysPath, undefined, key)).status).toBe(200);
});

test("only management keys manage", async () => {
  const { live, test: sandbox } = accounts.router.keys;
  const operations: Array<[string, string, unknown?]> = [
    ["POST", keysPath, { name: "x" }],
    ["GET", keysPath],
    ["GET", `${keysPath}/${hashOf(live)}`],
    ["PATCH", `${keysPath}/${hashOf(live)}`, { name: "x" }],
    ["DELETE", `${keysPath}/${hashOf(live)}`],
  ];
  for (const [method, path, body] of operations) {
    for (const key of [live, sandbox]) {
      const answer = await accounts.call(method, path, body, key);
      expect(await refusal(answer)).toEqual({ status: 403, code: "wrong_key_type", param: null });
    }
    expect((await accounts.call(method, path, body, "lr_mgmt_no")).status).toBe(401);
  }
  const wrong = await accounts.call("PUT", keysPath, {});
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, POST, HEAD"]);
});

const wrongValues: Array<[body: string | object, code: string, param: string | null]> = [
  [{ limit: "5" }, "invalid_type", "limit"],
  [{ limit: -0.01 }, "invalid_value", "limit"],
  [{ limit: 9_000_000.01 }, "invalid_value", "limit"],
  [{ limit: 0.1234567891 }, "invalid_value", "limit"],
  // As numbers these two are 1 and 12345678.12345679: only the text shows that something would be lost.
  ['{"name":"x","limit":1.0000000000000000001}', "invalid_value", "limit"],
  ['{"name":"x","limit":1234567.12345678901}', "invalid_value", "limit"],
  [{ limit_reset: "yearly" }, "invalid_value", "limit_reset"],
  [{ limit_reset: 1 }, "invalid_type", "limit_reset"],
  [{ expires_at: "2020-01-01T00:00:00Z" }, "invalid_value", "expires_at"],
  [{ expires_at: "2100-01-01T00:00:00" }, "invalid_value", "expires_at"],
  [{ expires_at: "2100-02-30T00:00:00Z" }, "invalid_value", "expires_at"],
  [{ expires_at: "2100-01-01" }, "invalid_value", "expires_at"],
  [{ expires_at: 4_102_444_800 }, "invalid_type", "expires_at"],
  [{ allowed_models: "openai/dall-e-2" }, "invalid_type", "allowed_models"],
  [{ allowed_models: [1] }, "invalid_type", "allowed_models[0]"],
  [{ allowed_models: [] }, "invalid_value", "allowed_models"],
  [{ allowed_models: ["flux-1-pro"] }, "invalid_value", "allowed_models"],
  [{ allowed_providers: ["openai", "midjourney"] }, "invalid_value", "allowed_providers"],
  [{ rate_limit: 5 }, "invalid_type", "rate_limit"],
  [{ rate_limit: { requests_per_minute: 0 } }, "integer_below_min_value", "rate_limit.requests_per_minute"],
  [{ rate_limit: { requests_per_day: 1.5 } }, "invalid_type", "rate_limit.requests_per_day"],
  [{ rate_limit: { concurrent: 10_000_000 } }, "integer_above_max_value", "rate_limit.concurrent"],
  [{ rate_limit: { per_second: 1 } }, "unknown_parameter", "rate_limit.per_second"],
  [{ name: "" }, "empty_string", "name"],
  [{ name: "   " }, "empty_string", "name"],
  [{ name: null }, "invalid_type", "name"],
  [{ name: "n".repeat(201) }, "string_above_max_length", "name"],
  [{ colour: "red" }, "unknown_parameter", "colour"],
];

describe("refused in POST and PATCH alike, and nothing is changed", () => {
  for (const [body, code, param] of wrongValues) {
    test(typeof body === "string" ? body : JSON.stringify(body).slice(0, 80), async () => {
      const { data } = await accounts.makeKey();
      const before = accounts.sql("select count(*) n from keys");
      const made = await accounts.call("POST", keysPath, typeof body === "string" ? body : { name: "x", ...body });
      expect(await refusal(made)).toEqual({ status: 400, code, param });
      expect(accounts.sql("select count(*) n from keys")).toEqual(before);
      const changed = await accounts.call("PATCH", `${keysPath}/${data.hash}`, body);
      expect(await refusal(changed)).toEqual({ status: 400, code, param });
      expect(await accounts.readKey(data.hash)).toEqual(data);
    });
  }
});

test("refused in POST or in PATCH only", async () => {
  const { data } = await accounts.makeKey();
  const path = `${keysPath}/${data.hash}`;
  const refused = async (method: string, at: string, body: unknown) => {
    const { status, code, param } = await refusal(await accounts.call(method, at, body));
    return [status, code, param];
  };
  expect(await refused("POST", keysPath, {})).toEqual([400, "missing_required_parameter", "name"]);
  expect(await refused("POST", keysPath, { name: "x", type: "admin" })).toEqual([400, "invalid_value", "type"]);
  expect(await refused("POST", keysPath, { name: "x", disabled: true })).toEqual([
    400,
    "unknown_parameter",
    "disabled",
  ]);
  expect(await refused("POST", keysPath, "[]")).toEqual([400, "invalid_type", null]);
  expect(await refused("POST", keysPath, "{")).toEqual([400, "invalid_json", null]);
  expect(await refused("PATCH", path, {})).toEqual([400, "missing_required_parameter", null]);
  expect(await refused("PATCH", path, { rate_limit: {} })).toEqual([400, "missing_required_parameter", null]);
  expect(await refused("PATCH", path, { type: "test" })).toEqual([400, "unknown_parameter", "type"]);
  expect(await refused("PATCH", path, { disabled: "yes" })).toEqual([400, "invalid_type", "disabled"]);
  const unknown = await accounts.call("POST", keysPath, { name: "x", allowed_models: ["dall-e-2", "dall-e-9", "x/y"] });
  expect(await unknown.text()).toContain("unknown 'dall-e-9' and 'x/y'");
});

test("a management key takes no limits: they would look like protection and be none", async () => {
  const { data } = await accounts.makeKey({ type: "management", limit: null, rate_limit: null });
  const limits = {
    limit: 5,
    limit_reset: "daily",
    allowed_models: ["dall-e-2"],
    allowed_providers: ["openai"],
    rate_limit: { concurrent: 1 },
  };
  for (const [param, value] of Object.entries(limits)) {
    for (const [method, path, body] of [
      ["POST", keysPath, { name: "x", type: "management", [param]: value }],
      ["PATCH", `${keysPath}/${data.hash}`, { [param]: value }],
    ] as const) {
      expect(await refusal(await accounts.call(method, path, body))).toEqual({
        status: 400,
        code: "invalid_value",
        param,
      });
    }
  }
});

test("amounts are kept to the nano-dollar", async () => {
  for (const [literal, nanos] of [
    ["0", 0],
    ["0.000000001", 1],
    ["1e-7", 100],
    ["4.35", 4_350_000_000],
    ["0.10", 100_000_000],
    ["1.5E+1", 15_000_000_000],
    ["9000000", 9_000_000_000_000_000],
  ] as const) {
    const answer = await accounts.call("POST", keysPath, `{"name":"x","limit":${literal}}`);
    const { data } = (await answer.json()) as MadeKey;
    expect(data.limit).toBe(Number(literal));
    expect(accounts.sql(`select limit_nanos from keys where hash = '${data.hash}'`)).toEqual([{ limit_nanos: nanos }]);
  }
});

test("PATCH changes what it names and null lifts", async () => {
  const { data } = await accounts.makeKey({
    limit: 1,
    limit_reset: "daily",
    allowed_models: ["dall-e-2"],
    allowed_providers: ["openai"],
    expires_at: "2100-01-01T00:00:00Z",
    rate_limit: { requests_per_minute: 5, concurrent: 2 },
  });
  const renamed = await accounts.changeKey(data.hash, { name: "renamed", rate_limit: { requests_per_minute: 7 } });
  expect(renamed).toEqual({
    ...data,
    name: "renamed",
    rate_limit: { requests_per_minute: 7, requests_per_day: null, concurrent: 2 },
    updated_at: expect.any(String),
  });
  const lifted = await accounts.changeKey(data.hash, {
    limit: null,
    limit_reset: null,
    allowed_models: null,
    allowed_providers: null,
    expires_at: null,
    rate_limit: null,
  });
  expect(lifted).toEqual({
    ...renamed,
    limit: null,
    limit_remaining: null,
    limit_reset: null,
    allowed_models: null,
    allowed_providers: null,
    expires_at: null,
    rate_limit: { requests_per_minute: null, requests_per_day: null, concurrent: null },
    updated_at: expect.any(String),
  });
  expect(await accounts.readKey(data.hash)).toEqual(lifted);
});

test("changes act at once: disabled, enabled, expired, models, providers", async () => {
  const { data, key } = await accounts.makeKey();
  const outcome = async () => {
    const answer = await accounts.router.generate(small, { key });
    return answer.ok ? "ok" : (await refusal(answer)).code;
  };
  expect(await outcome()).toBe("ok");
  await accounts.changeKey(data.hash, { disabled: true });
  expect(await outcome()).toBe("key_disabled");
  await accounts.changeKey(data.hash, { disabled: false, allowed_models: ["dall-e-3"] });
  expect(await outcome()).toBe("model_not_allowed");
  await accounts.changeKey(data.hash, { allowed_models: ["dall-e-2"] });
  expect(await outcome()).toBe("ok");
  await accounts.changeKey(data.hash, { allowed_models: ["openai/dall-e-2"], allowed_providers: ["stability"] });
  expect(await outcome()).toBe("provider_not_allowed");
  await accounts.changeKey(data.hash, { allowed_providers: ["openai"] });
  expect(await outcome()).toBe("ok");
});

test("deleted: gone for its holder and the API at once, kept for reports", async () => {
  const { data, key } = await accounts.makeKey();
  const path = `${keysPath}/${data.hash}`;
  const answer = await accounts.call("DELETE", path);
  expect([answer.status, await answer.json()]).toEqual([200, { data: { deleted: true } }]);
  expect((await refusal(await accounts.router.generate(small, { key }))).code).toBe("invalid_api_key");
  for (const [method, at, body] of [
    ["GET", path],
    ["PATCH", path, { name: "x" }],
    ["DELETE", path],
    ["GET", `${keysPath}/${unknownHash}`],
    ["PATCH", `${keysPath}/${unknownHash}`, { name: "x" }],
    ["DELETE", `${keysPath}/${unknownHash}`],
  ] as Array<[string, string, unknown?]>) {
    expect(await refusal(await accounts.call(method, at, body))).toEqual({
      status: 404,
      code: "not_found",
      param: null,
    });
  }
  const list = (await (await accounts.call("GET", `${keysPath}?page_size=100&include_disabled=true`)).json()) as {
    data: KeyObject[];
  };
  expect(list.data.map(({ hash }) => hash)).not.toContain(data.hash);
  expect(accounts.sql(`select name from keys where hash = '${data.hash}'`)).toHaveLength(1);
});

test("every change is written down, with the hash of the management key that made it", async () => {
  const { data } = await accounts.makeKey({ name: "audited", limit: 0.5 });
  await accounts.changeKey(data.hash, { limit: 0.75, disabled: true });
  await accounts.call("DELETE", `${keysPath}/${data.hash}`);
  await accounts.call("DELETE", `${keysPath}/${data.hash}`);
  const rows = accounts.sql<{ actor: string; action: string; changes: string }>(
    `select actor, action, changes from audit where key_hash = '${data.hash}' order by created_at, id`,
  );
  const actor = hashOf(accounts.router.keys.management);
  expect(rows.map((row) => ({ ...row, changes: JSON.parse(row.changes) }))).toEqual([
    { actor, action: "create", changes: { name: "audited", kind: "live", limit: "500000000" } },
    { actor, action: "update", changes: { limit: "750000000", disabled: true } },
    { actor, action: "delete", changes: {} },
  ]);
});
