/** The webhook API: whose secret anybody may read and replace, and what of the log they see. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { readConfig } from "../../src/config.ts";
import {
  hourMs,
  isSignedBy,
  type Recipient,
  startRecipient,
  startWebhookRouter,
  type WebhookRouter,
} from "./support.ts";

setDefaultTimeout(60_000);

let shop: Recipient;
let router: WebhookRouter;
beforeAll(async () => {
  shop = startRecipient();
  router = await startWebhookRouter([shop]);
});
afterAll(async () => {
  await router.remove();
  await shop.stop();
});

interface SecretAnswer {
  data: {
    key_hash: string;
    secret: string;
    created_at: string;
    previous: { created_at: string; signs_until: string }[];
  };
}

const secretPath = "/api/v1/webhooks/secret";
const rotatePath = "/api/v1/webhooks/secret/rotate";
const hashOf = (secret: string) => createHash("sha256").update(secret).digest("hex");
const noKey = "0".repeat(64);

async function refusal(answer: Response): Promise<[number, string, string | null]> {
  const { error } = (await answer.json()) as { error: { code: string; param: string | null } };
  return [answer.status, error.code, error.param];
}

async function newKey(): Promise<{ key: string; hash: string }> {
  const made = await router.call("POST", "/api/v1/keys", { name: "made by a test", type: "test" });
  const { key, data } = (await made.json()) as { key: string; data: { hash: string } };
  return { key, hash: data.hash };
}

async function rotate(query: string, key?: string): Promise<SecretAnswer["data"]> {
  const answer = await router.call("POST", rotatePath + query, undefined, key);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as SecretAnswer).data;
}

describe("a key's secret", () => {
  test("is made at its first use and stays; two who ask at once get the same", async () => {
    const { key, hash } = await newKey();
    const answers = await Promise.all(Array.from({ length: 8 }, () => router.call("GET", secretPath, undefined, key)));
    expect(answers.map(({ headers }) => headers.get("cache-control"))).toEqual(answers.map(() => "no-store"));
    const secrets = await Promise.all(answers.map(async (one) => ((await one.json()) as SecretAnswer).data));
    expect(new Set(secrets.map(({ secret }) => secret)).size).toBe(1);
    expect(secrets[0]).toEqual({
      key_hash: hash,
      secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{32}$/),
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      previous: [],
    });
    expect(await router.secretOf((await newKey()).key)).not.toBe(secrets[0]?.secret);
  });

  test("is for the key itself and for management keys; to others it does not exist", async () => {
    const [one, other] = [await newKey(), await newKey()];
    const own = await router.secretOf(one.key);
    const named = await router.call("GET", `${secretPath}?key_hash=${one.hash}`, undefined, one.key);
    const managed = await router.call("GET", `${secretPath}?key_hash=${one.hash}`);
    for (const answer of [named, managed]) expect(((await answer.json()) as SecretAnswer).data.secret).toBe(own);
    for (const [method, path] of [
      ["GET", secretPath],
      ["POST", rotatePath],
    ] as const) {
      const ask = async (query: string, key?: string) =>
        refusal(await router.call(method, path + query, undefined, key));
      expect(await ask(`?key_hash=${one.hash}`, other.key)).toEqual([404, "not_found", null]);
      expect(await ask(`?key_hash=${noKey}`, other.key)).toEqual([404, "not_found", null]);
      expect(await ask(`?key_hash=${noKey}`)).toEqual([404, "not_found", null]);
      expect(await ask("")).toEqual([400, "missing_required_parameter", "key_hash"]);
      expect(await ask("?key_hash=abc")).toEqual([400, "invalid_value", "key_hash"]);
      expect(await ask(`?key_hash=${hashOf(router.keys.management)}`)).toEqual([400, "invalid_value", "key_hash"]);
      expect(await ask("?keyhash=1")).toEqual([400, "unknown_parameter", "keyhash"]);
      expect(await ask("", "lr_test_nobody")).toEqual([401, "invalid_api_key", null]);
    }
    expect(await router.secretOf(one.key)).toBe(own);
    const wrong = await router.call("DELETE", secretPath);
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  test("is replaced only by what says so: a body is not passed over in silence", async () => {
    const { key, hash } = await newKey();
    const own = await router.secretOf(key);
    const answer = await router.call("POST", rotatePath, { key_hash: hash }, key);
    expect(await refusal(answer)).toEqual([400, "unknown_parameter", "key_hash"]);
    expect(await router.secretOf(key)).toBe(own);
  });

  test("that was replaced signs beside the new one for a day", async () => {
    const { key, hash } = await newKey();
    const old = await router.secretOf(key);
    const rotated = await rotate("", key);
    expect(rotated.secret).not.toBe(old);
    expect(await router.secretOf(key)).toBe(rotated.secret);
    const [previous] = rotated.previous;
    expect(Date.parse(previous?.signs_until ?? "") - Date.parse(rotated.created_at)).toBe(24 * hourMs);
    expect(JSON.stringify(rotated)).not.toContain(old);
    const receive = async () => {
      const before = shop.received.length;
      await router.make({ webhook_url: shop.url }, key);
      return (await shop.has(before + 1))[before] as Recipient["received"][number];
    };
    const both = await receive();
    expect(both.headers.get("webhook-signature")?.split(" ")).toHaveLength(2);
    expect([await isSignedBy(rotated.secret, both), await isSignedBy(old, both)]).toEqual([true, true]);
    // By a management key, and while one is still retiring.
    const third = await rotate(`?key_hash=${hash}`);
    const three = await receive();
    expect(await Promise.all([third.secret, rotated.secret, old].map((one) => isSignedBy(one, three)))).toEqual([
      true,
      true,
      true,
    ]);
    router.advance(24 * hourMs + 60_000);
    // At once: it does not wait for being swept.
    const { previous: left } = ((await (await router.call("GET", secretPath, undefined, key)).json()) as SecretAnswer)
      .data;
    expect(left).toEqual([]);
    const alone = await receive();
    expect(alone.headers.get("webhook-signature")?.split(" ")).toHaveLength(1);
    expect(await Promise.all([third.secret, rotated.secret, old].map((one) => isSignedBy(one, alone)))).toEqual([
      true,
      false,
      false,
    ]);
  });

  test("replaced many times within a day: a header has room for the last four beside the new one", async () => {
    const { key } = await newKey();
    await router.secretOf(key);
    for (let times = 0; times < 7; times += 1) await rotate("", key);
    expect((await rotate("", key)).previous).toHaveLength(4);
  });
});

describe("the log", () => {
  test("shows a key its own, a management key all, with filters and pages", async () => {
    const [one, other] = [await newKey(), await newKey()];
    const path = "/api/v1/webhooks/deliveries";
    const list = async (query: string, key?: string) => {
      const answer = await router.call("GET", path + query, undefined, key);
      expect(answer.status).toBe(200);
      return (await answer.json()) as {
        data: { generation_id: string; key_hash: string; status: string }[];
        next_page_token: string | null;
      };
    };
    const mine: string[] = [];
    for (let times = 0; times < 5; times += 1) mine.push(await router.make({ webhook_url: shop.url }, one.key));
    const foreign = await router.make({ webhook_url: shop.url }, other.key);
    for (const id of [...mine, foreign]) await router.deliveryOf(id, ({ status }) => status === "delivered");

    const own = await list("", one.key);
    expect(own.data.map(({ generation_id }) => generation_id)).toEqual([...mine].reverse());
    expect(new Set(own.data.map(({ key_hash }) => key_hash))).toEqual(new Set([one.hash]));
    expect((await list(`?generation=${foreign}`, one.key)).data).toEqual([]);
    expect((await list(`?generation=${mine[2]}`, one.key)).data).toMatchObject([{ generation_id: mine[2] }]);
    expect((await list("?status=pending", one.key)).data).toEqual([]);
    expect((await list("?status=delivered", one.key)).data).toHaveLength(5);

    const pages: string[] = [];
    for (let token: string | null = ""; token !== null; ) {
      const page = await list(`?limit=2${token === "" ? "" : `&page_token=${token}`}`, one.key);
      pages.push(...page.data.map(({ generation_id }) => generation_id));
      token = page.next_page_token;
    }
    expect(pages).toEqual([...mine].reverse());

    const all = await list("?limit=100");
    expect(new Set(all.data.map(({ key_hash }) => key_hash)).size).toBeGreaterThan(1);
    expect((await list(`?key_hash=${other.hash}`)).data).toMatchObject([{ generation_id: foreign }]);
    for (const [query, code, param] of [
      ["?status=lost", "invalid_value", "status"],
      ["?limit=0", "invalid_value", "limit"],
      ["?page_token=x", "invalid_value", "page_token"],
      ["?page=2", "unknown_parameter", "page"],
    ] as const) {
      expect(await refusal(await router.call("GET", path + query))).toEqual([400, code, param]);
    }
    const hidden = await router.call("GET", `${path}?key_hash=${other.hash}`, undefined, one.key);
    expect(await refusal(hidden)).toEqual([404, "not_found", null]);
  });
});

describe("AROUTER_WEBHOOK_ORIGINS", () => {
  const read = (value: string) => readConfig({ AROUTER_WEBHOOK_ORIGINS: value }).webhookOrigins;

  test("is a list of origins", () => {
    expect(read("")).toEqual([]);
    expect(read("http://127.0.0.1:3000, HTTPS://Hooks.Example.com:443/")).toEqual([
      "http://127.0.0.1:3000",
      "https://hooks.example.com",
    ]);
  });

  test("refuses what is more or less than an origin", () => {
    for (const value of [
      "http://127.0.0.1:3000/hooks",
      "127.0.0.1:3000",
      "ftp://a.test",
      "https://me:pw@a.test",
      "*",
    ]) {
      expect(() => read(value)).toThrow("AROUTER_WEBHOOK_ORIGINS");
    }
  });
});
