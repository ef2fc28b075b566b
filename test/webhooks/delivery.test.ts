/** Events as recipients get them: what they say, to whom they go and to whom they never go, and when they are tried again. */

import { Database } from "bun:sqlite";
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { tlsCertificate } from "../faults/support.ts";
import type { TestRouterOptions } from "../router.ts";
import {
  eventOf,
  eventually,
  hourMs,
  isSignedBy,
  oneLookMs,
  type Recipient,
  startRecipient,
  startWebhookRouter,
  type WebhookRouter,
} from "./support.ts";

setDefaultTimeout(60_000);

const undone: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of undone.splice(0).reverse()) await end();
});

function recipient(options: Parameters<typeof startRecipient>[0] = {}): Recipient {
  const started = startRecipient(options);
  undone.push(() => started.stop());
  return started;
}

async function router(
  recipients: Pick<Recipient, "origin">[],
  options: TestRouterOptions = {},
): Promise<WebhookRouter> {
  const started = await startWebhookRouter(recipients, options);
  undone.push(() => started.remove());
  return started;
}

describe("an event", () => {
  test("is signed with the key's secret, carries the generation object, and its links work", async () => {
    const shop = recipient();
    const sender = await router([shop]);
    const generation = await sender.make({ webhook_url: shop.url });
    const [received] = await shop.has(1);
    if (received === undefined) throw new Error("nothing came");
    expect([received.method, received.path, received.headers.get("content-type")]).toEqual([
      "POST",
      "/hooks",
      "application/json",
    ]);
    expect(await isSignedBy(await sender.secretOf(sender.keys.test), received)).toBe(true);
    const event = eventOf(received);
    const shown = (await (await sender.get(`/v1/images/generations/${generation}`, sender.keys.test)).json()) as object;
    expect(event.type).toBe("generation.succeeded");
    expect(event.data as object).toEqual(shown);
    expect(event.data.data[0]?.url).toStartWith(`${sender.url}/v1/images/files/img-`);
    expect((await fetch(event.data.data[0]?.url ?? "")).status).toBe(200);
    const delivery = await sender.deliveryOf(generation, ({ status }) => status === "delivered");
    expect(delivery).toMatchObject({
      id: received.headers.get("webhook-id"),
      event: "generation.succeeded",
      attempts: 1,
      last_status: 204,
      last_error: null,
      next_attempt_at: null,
      created_at: event.timestamp,
    });
    await Bun.sleep(oneLookMs);
    expect(shop.received).toHaveLength(1);
  });

  test("of a failed or canceled generation says so", async () => {
    const shop = recipient();
    const sender = await router([shop]);
    await sender.make({ prompt: "A lighthouse [[refuse]]", webhook_url: shop.url });
    const slow = sender.make({ prompt: "A lighthouse [[slow:20]]", webhook_url: shop.url });
    const running = () => sender.get("/api/v1/generations?status=running", sender.keys.management);
    let id = "";
    await eventually(async () => {
      id = ((await (await running()).json()) as { data: { id: string }[] }).data[0]?.id ?? "";
      return id !== "";
    }, "nothing runs");
    await sender.call("DELETE", `/v1/images/generations/${id}`);
    await slow;
    // Two at once: which comes first is nobody's promise.
    const events = (await shop.has(2)).map(eventOf);
    expect(events.map(({ type, data }) => [type, data.status]).sort()).toEqual([
      ["generation.canceled", "canceled"],
      ["generation.failed", "failed"],
    ]);
  });

  test("has links of the public origin where the operator set one", async () => {
    const shop = recipient();
    const sender = await router([shop], { env: { AROUTER_PUBLIC_URL: "https://images.example.com" } });
    await sender.make({ webhook_url: shop.url });
    const [received] = await shop.has(1);
    expect(received && eventOf(received).data.data[0]?.url).toStartWith("https://images.example.com/v1/images/files/");
  });

  test("goes where the request says, else where the key says, else nowhere", async () => {
    const [ofKey, ofRequest] = [recipient(), recipient()];
    const sender = await router([ofKey, ofRequest]);
    const made = await sender.call("POST", "/api/v1/keys", { name: "shop", type: "test", webhook_url: ofKey.url });
    const { key, data } = (await made.json()) as { key: string; data: { hash: string; webhook_url: string } };
    expect([made.status, data.webhook_url]).toEqual([201, ofKey.url]);
    const first = await sender.make({}, key);
    const second = await sender.make({ webhook_url: ofRequest.url }, key);
    expect(eventOf((await ofKey.has(1))[0] as never).data.id).toBe(first);
    expect(eventOf((await ofRequest.has(1))[0] as never).data.id).toBe(second);
    const cleared = await sender.call("PATCH", `/api/v1/keys/${data.hash}`, { webhook_url: null });
    expect(((await cleared.json()) as { data: object }).data).toMatchObject({ webhook_url: null });
    const third = await sender.make({}, key);
    expect(await sender.deliveries(`&generation=${third}`)).toEqual([]);
    for (const [path, body] of [
      ["/api/v1/keys", { name: "x", webhook_url: "http://shop.example.com" }],
      ["/api/v1/keys", { name: "x", type: "management", webhook_url: "https://shop.example.com" }],
    ] as const) {
      const refused = await sender.call("POST", path, body);
      const { error } = (await refused.json()) as { error: object };
      expect([refused.status, error]).toEqual([
        400,
        expect.objectContaining({ code: "invalid_value", param: "webhook_url" }),
      ]);
    }
    const refused = await sender.generate(
      { model: "openai/dall-e-2", prompt: "x", webhook_url: "http://shop.example.com" },
      { key },
    );
    expect([refused.status, ((await refused.json()) as { error: object }).error]).toEqual([
      400,
      expect.objectContaining({ code: "invalid_value", param: "webhook_url" }),
    ]);
    expect([ofKey.received.length, ofRequest.received.length]).toEqual([1, 1]);
  });

  test("holds the prompt only while it is kept, and the delivery log never does", async () => {
    const canary = "canary-in-a-coal-mine";
    const shop = recipient();
    shop.answer = (_, position) => new Response(`echo ${canary}`, { status: position === 0 ? 503 : 200 });
    const sender = await router([shop]);
    const generation = await sender.make({ prompt: canary, webhook_url: shop.url });
    const [first] = await shop.has(1);
    expect(first && eventOf(first).data.requested.prompt).toBe(canary);
    expect(JSON.stringify(await sender.deliveryOf(generation, ({ attempts }) => attempts === 1))).not.toContain(canary);
    const rows = () => {
      const file = new Database(join(sender.dataFolder, "arouter.db"), { readonly: true });
      try {
        return JSON.stringify(file.query("select * from webhook_deliveries").all());
      } finally {
        file.close();
      }
    };
    expect(rows()).toContain(generation);
    expect(rows()).not.toContain(canary);
    sender.advance(2 * hourMs);
    // The second event may be made before the prompt is swept; what is delivered then is what is kept then.
    await shop.has(2);
    await sender.deliveryOf(generation, ({ status }) => status === "delivered");
    await eventually(
      () =>
        !["", "-wal"].some((ending) => readFileSync(join(sender.dataFolder, `arouter.db${ending}`)).includes(canary)),
      "the prompt is still in the database's files",
    );
    expect(rows()).not.toContain(canary);
  });

  test("never holds a prompt that is not kept at all", async () => {
    const shop = recipient();
    const sender = await router([shop], { env: { AROUTER_KEEP_PROMPTS: "never" } });
    await sender.make({ prompt: "canary-in-a-coal-mine", webhook_url: shop.url });
    expect((await shop.has(1))[0]?.body).not.toContain("canary-in-a-coal-mine");
  });
});

describe("over https", () => {
  /** A router that knows `files.test` and `other.test`, and trusts the self-signed certificate of the first. */
  const trusting = (recipients: Recipient[]): Promise<WebhookRouter> =>
    router(recipients, {
      resolve: async () => ["127.0.0.1"],
      opened: (parts) => {
        const { fetch } = parts.transport;
        parts.transport.fetch = ((url: string, init: RequestInit & { tls?: object }) =>
          fetch(url, { ...init, tls: { ...init.tls, ca: tlsCertificate.cert } } as RequestInit)) as typeof fetch;
      },
    });

  test("the address is checked and connected to, the certificate must be the name's", async () => {
    const good = recipient({ host: "files.test", tls: tlsCertificate });
    const wrong = recipient({ host: "other.test", tls: tlsCertificate });
    const sender = await trusting([good, wrong]);
    const delivered = await sender.make({ webhook_url: good.url });
    const refused = await sender.make({ webhook_url: wrong.url });
    expect((await good.has(1))[0]?.headers.get("host")).toBe(new URL(good.url).host);
    await sender.deliveryOf(delivered, ({ status }) => status === "delivered");
    const { last_status, last_error } = await sender.deliveryOf(refused, ({ last_error }) => last_error !== null);
    expect([last_status, last_error]).toEqual([null, expect.stringContaining("certificate")]);
    expect(wrong.received).toEqual([]);
  });
});

describe("never goes", () => {
  test("to a private, loopback or link-local address, whatever name leads there, and does not tell which", async () => {
    const inside = recipient({ tls: tlsCertificate, host: "files.test" });
    const port = new URL(inside.url).port;
    const addresses: Record<string, string[]> = {
      "files.test": ["127.0.0.1"],
      "mixed.test": ["93.184.216.34", "10.0.0.1"],
      "metadata.test": ["169.254.169.254"],
      "six.test": ["::ffff:127.0.0.1"],
    };
    let connections = 0;
    const sender = await router([], {
      resolve: async (name) => {
        const found = addresses[name];
        if (found === undefined) throw Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
        return found;
      },
      opened: (parts) => {
        parts.transport.fetch = (() => {
          connections += 1;
          throw new Error("nothing may be called");
        }) as unknown as typeof fetch;
      },
    });
    const errors = new Set<string | null>();
    for (const host of [
      "files.test",
      "mixed.test",
      "metadata.test",
      "six.test",
      "unknown.test",
      "127.0.0.1",
      "[::1]",
      "192.168.0.1",
      "169.254.169.254",
    ]) {
      const generation = await sender.make({ webhook_url: `https://${host}:${port}/` });
      const delivery = await sender.deliveryOf(generation, ({ last_error }) => last_error !== null);
      expect([host, delivery.status, delivery.last_status]).toEqual([host, "pending", null]);
      errors.add(delivery.last_error);
    }
    expect(errors.size).toBe(1);
    expect([connections, inside.received.length]).toEqual([0, 0]);
  });

  test("to a link-local address, even where the operator trusts the origin", async () => {
    const sender = await router([{ origin: "http://metadata.test" }], { resolve: async () => ["169.254.169.254"] });
    const generation = await sender.make({ webhook_url: "http://metadata.test/latest" });
    const delivery = await sender.deliveryOf(generation, ({ last_error }) => last_error !== null);
    expect(delivery.last_error).toContain("no connection");
  });

  test("where a redirect leads", async () => {
    const [shop, elsewhere] = [recipient(), recipient()];
    shop.answer = () => new Response(null, { status: 307, headers: { location: elsewhere.url } });
    const sender = await router([shop, elsewhere]);
    const generation = await sender.make({ webhook_url: shop.url });
    const delivery = await sender.deliveryOf(generation, ({ last_status }) => last_status === 307);
    expect([delivery.status, delivery.last_error]).toEqual(["pending", expect.stringContaining("redirects")]);
    await Bun.sleep(oneLookMs);
    expect(elsewhere.received).toEqual([]);
  });

  test("to the recipient of a key that was deleted meanwhile", async () => {
    const shop = recipient();
    shop.answer = () => new Response(null, { status: 500 });
    const sender = await router([shop]);
    const made = await sender.call("POST", "/api/v1/keys", { name: "shop", type: "test", webhook_url: shop.url });
    const { key, data } = (await made.json()) as { key: string; data: { hash: string } };
    const generation = await sender.make({}, key);
    await sender.deliveryOf(generation, ({ last_status }) => last_status === 500);
    await sender.call("DELETE", `/api/v1/keys/${data.hash}`);
    sender.advance(7_000);
    const delivery = await sender.deliveryOf(generation, ({ status }) => status === "given_up");
    expect([delivery.last_error, shop.received.length]).toEqual(["the key was deleted", 1]);
  });
});

describe("an attempt that fails", () => {
  test("is repeated with the same id, a new time and a new signature until it is accepted", async () => {
    const shop = recipient();
    shop.answer = (_, position) => new Response(null, { status: position < 2 ? 500 : 200 });
    const sender = await router([shop]);
    const generation = await sender.make({ webhook_url: shop.url });
    await sender.deliveryOf(generation, ({ last_status }) => last_status === 500);
    await Bun.sleep(oneLookMs);
    expect(shop.received).toHaveLength(1);
    sender.advance(6_000);
    await shop.has(2);
    await sender.deliveryOf(
      generation,
      ({ attempts, next_attempt_at, last_attempt_at }) =>
        attempts === 2 &&
        Date.parse(next_attempt_at ?? "") - Date.parse(last_attempt_at ?? "") > 20_000 &&
        next_attempt_at !== null,
    );
    sender.advance(36_000);
    const received = await shop.has(3);
    const secret = await sender.secretOf(sender.keys.test);
    for (const one of received) expect(await isSignedBy(secret, one)).toBe(true);
    const header = (name: string) => new Set(received.map(({ headers }) => headers.get(name))).size;
    expect([header("webhook-id"), header("webhook-timestamp"), header("webhook-signature")]).toEqual([1, 3, 3]);
    expect(await sender.deliveryOf(generation, ({ status }) => status === "delivered")).toMatchObject({
      attempts: 3,
      last_status: 200,
      last_error: null,
    });
  });

  test("is repeated by the plan, spread by up to a fifth, for a day; the last attempt is at its end", async () => {
    const shop = recipient();
    shop.answer = () => new Response(null, { status: 500 });
    const sender = await router([shop], { frozenAt: Date.UTC(2026, 10, 22) });
    const generation = await sender.make({ webhook_url: shop.url });
    const plan = [5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 14_400, 14_400, 14_400];
    const waited: number[] = [];
    let total = 0;
    for (let attempts = 1; ; attempts += 1) {
      await shop.has(attempts);
      const settled = await sender.deliveryOf(generation, (delivery) => {
        const waits = Date.parse(delivery.next_attempt_at ?? "") - Date.parse(delivery.last_attempt_at ?? "");
        // Half a minute is how long a claim holds: then the attempt is still under way.
        return delivery.attempts === attempts && (delivery.status === "given_up" || waits !== 30_000);
      });
      if (settled.status === "given_up") {
        expect(settled).toMatchObject({ next_attempt_at: null, last_status: 500, last_error: "status 500" });
        break;
      }
      const wait = Date.parse(settled.next_attempt_at ?? "") - Date.parse(settled.last_attempt_at ?? "");
      waited.push(wait);
      total += wait;
      sender.advance(wait);
    }
    expect(total).toBe(24 * hourMs);
    // The last wait ends with the day.
    for (const [position, wait] of waited.slice(0, -1).entries()) {
      const planned = (plan[position] ?? 14_400) * 1_000;
      expect(wait).toBeWithin(planned * 0.8 - 1, planned * 1.2 + 1);
    }
    expect(waited.length).toBeWithin(10, 14);
    expect(waited.filter((wait, position) => wait === (plan[position] ?? 14_400) * 1_000).length).toBeLessThan(
      waited.length / 2,
    );
    sender.advance(48 * hourMs);
    await Bun.sleep(oneLookMs);
    expect(shop.received).toHaveLength(waited.length + 1);
  });

  test("waits as long as the recipient asks, where that is longer", async () => {
    const shop = recipient();
    shop.answer = () => new Response(null, { status: 429, headers: { "retry-after": "900" } });
    const sender = await router([shop], { frozenAt: Date.UTC(2026, 10, 22) });
    const generation = await sender.make({ webhook_url: shop.url });
    const { next_attempt_at, last_attempt_at } = await sender.deliveryOf(generation, (one) => one.last_status === 429);
    expect(Date.parse(next_attempt_at ?? "") - Date.parse(last_attempt_at ?? "")).toBe(900_000);
  });

  test("with 410 is the last", async () => {
    const shop = recipient();
    shop.answer = () => new Response(null, { status: 410 });
    const sender = await router([shop]);
    const generation = await sender.make({ webhook_url: shop.url });
    expect(await sender.deliveryOf(generation, ({ status }) => status === "given_up")).toMatchObject({
      attempts: 1,
      last_status: 410,
      next_attempt_at: null,
    });
    sender.advance(25 * hourMs);
    await Bun.sleep(oneLookMs);
    expect(shop.received).toHaveLength(1);
  });

  test("because nothing answers within fifteen seconds is over then, and other recipients do not wait for it", async () => {
    const [hanging, quick] = [recipient(), recipient({ host: "quick.test" })];
    const released = Promise.withResolvers<void>();
    undone.push(() => released.resolve());
    hanging.answer = async () => {
      await released.promise;
      return new Response();
    };
    const sender = await router([hanging, quick], { resolve: async () => ["127.0.0.1"] });
    const begun = performance.now();
    const stuck: string[] = [];
    for (let count = 0; count < 5; count += 1) stuck.push(await sender.make({ webhook_url: hanging.url }));
    await hanging.has(2);
    const passing = await sender.make({ webhook_url: quick.url });
    await sender.deliveryOf(passing, ({ status }) => status === "delivered");
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(hanging.mostAtOnce).toBe(2);
    await eventually(
      async () => {
        const [delivery] = await sender.deliveries(`&generation=${stuck[0]}`);
        return delivery?.last_error === "no answer within 15 seconds";
      },
      "the attempt does not end",
      30_000,
    );
    expect(performance.now() - begun).toBeWithin(14_500, 28_000);
  });
});

test("the log keeps what has ended for seven days", async () => {
  const shop = recipient();
  const sender = await router([shop]);
  const generation = await sender.make({ webhook_url: shop.url });
  await sender.deliveryOf(generation, ({ status }) => status === "delivered");
  sender.advance(7 * 24 * hourMs - 60_000);
  await Bun.sleep(oneLookMs);
  expect(await sender.deliveries()).toHaveLength(1);
  sender.advance(120_000);
  await eventually(async () => (await sender.deliveries()).length === 0, "the log still holds it");
});
