/** What crashes, restarts and several programs on one database do to webhooks: nothing is lost, nothing is sent twice at once. */
import { afterAll, afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { ask, killAll, makeFolder, removeFolder, startChild } from "../crash/harness.ts";
import type { TestRouterOptions } from "../router.ts";
import {
  eventually,
  oneLookMs,
  type Recipient,
  startRecipient,
  startWebhookRouter,
  type WebhookRouter,
} from "./support.ts";

setDefaultTimeout(60_000);
afterAll(killAll);

const undone: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of undone.splice(0).reverse()) await end();
});

function recipient(host?: string): Recipient {
  const started = startRecipient(host === undefined ? {} : { host });
  undone.push(() => started.stop());
  return started;
}

async function router(recipients: Recipient[], options: TestRouterOptions = {}): Promise<WebhookRouter> {
  const started = await startWebhookRouter(recipients, options);
  undone.push(() => started.remove());
  return started;
}

/** Longer than a program's claim on an attempt. */
const claimOverMs = 31_000;
const picture = { model: "openai/dall-e-2", prompt: "A lighthouse", size: "256x256" };

test("a program that is stopped and started between two attempts goes on where it was", async () => {
  const shop = recipient();
  shop.answer = (_, position) => new Response(null, { status: position === 0 ? 500 : 200 });
  const first = await router([shop]);
  const generation = await first.make({ webhook_url: shop.url });
  await first.deliveryOf(generation, ({ last_status }) => last_status === 500);
  await first.stop();
  const second = await router([shop], { dataFolder: first.dataFolder, keys: first.keys });
  second.advance(6_000);
  expect(await second.deliveryOf(generation, ({ status }) => status === "delivered")).toMatchObject({ attempts: 2 });
  expect(new Set(shop.received.map(({ headers }) => headers.get("webhook-id"))).size).toBe(1);
});

test("a program that dies right after the end of a generation leaves its event, and another delivers it", async () => {
  const folder = makeFolder();
  undone.push(() => removeFolder(folder));
  const shop = recipient();
  const child = await startChild(folder, { AROUTER_WEBHOOK_ORIGINS: shop.origin, CRASH_AT: "settled" });
  await ask(child.url, child.keys.test, { ...picture, webhook_url: shop.url });
  await child.gone;
  expect(shop.received).toHaveLength(0);
  await router([shop], { dataFolder: folder, keys: child.keys });
  await shop.has(1);
});

test("a program that dies during an attempt: it counts as lost when its claim is over, and the id stays", async () => {
  const folder = makeFolder();
  undone.push(() => removeFolder(folder));
  const shop = recipient();
  const never = new Promise<Response>(() => {});
  shop.answer = (_, position) => (position === 0 ? never : new Response());
  const child = await startChild(folder, { AROUTER_WEBHOOK_ORIGINS: shop.origin });
  const asked = await ask(child.url, child.keys.test, { ...picture, webhook_url: shop.url });
  await shop.has(1);
  await child.kill();
  const other = await router([shop], { dataFolder: folder, keys: child.keys });
  await Bun.sleep(oneLookMs);
  expect(shop.received).toHaveLength(1);
  other.advance(claimOverMs);
  const delivery = await other.deliveryOf(asked?.generation ?? "", ({ status }) => status === "delivered");
  expect(delivery.attempts).toBe(2);
  expect(new Set(shop.received.map(({ headers }) => headers.get("webhook-id"))).size).toBe(1);
});

test("two programs on one database deliver every event once", async () => {
  const recipients = Array.from({ length: 6 }, (_, position) => recipient(`shop-${position}.test`));
  for (const one of recipients) {
    one.answer = async () => {
      await Bun.sleep(30);
      return new Response();
    };
  }
  const resolve = async () => ["127.0.0.1"];
  const first = await router(recipients, { resolve });
  const second = await router(recipients, { resolve, dataFolder: first.dataFolder, keys: first.keys });
  const perRecipient = 12;
  await Promise.all(
    recipients.flatMap(({ url }) =>
      Array.from({ length: perRecipient }, (_, position) =>
        (position % 2 === 0 ? first : second).make({ webhook_url: url }),
      ),
    ),
  );
  await eventually(async () => (await first.deliveries("&status=delivered")).length === 72, "not all are delivered");
  for (const { received, mostAtOnce } of recipients) {
    expect(received).toHaveLength(perRecipient);
    expect(new Set(received.map(({ headers }) => headers.get("webhook-id"))).size).toBe(perRecipient);
    // Two for each program.
    expect(mostAtOnce).toBeLessThanOrEqual(4);
  }
  expect((await first.deliveries()).filter(({ attempts }) => attempts !== 1)).toEqual([]);
});

test.each([
  ["delivered", 200, 500, 200],
  ["tried again later", 503, 500, 503],
  // Delivered is delivered, whoever was to record it.
  ["delivered after all", 503, 200, 200],
])("a program whose claim ran out, after another has recorded '%s'", async (_, others, own, recorded) => {
  const shop = recipient();
  const released = Promise.withResolvers<void>();
  shop.answer = async (_, position) => {
    if (position > 0) return new Response(null, { status: others });
    await released.promise;
    return new Response(null, { status: own });
  };
  const slow = await router([shop]);
  const generation = await slow.make({ webhook_url: shop.url });
  await shop.has(1);
  const other = await router([shop], { dataFolder: slow.dataFolder, keys: slow.keys });
  other.advance(claimOverMs);
  const before = await other.deliveryOf(generation, ({ last_status }) => last_status === others);
  released.resolve();
  await Bun.sleep(oneLookMs);
  const [after] = await slow.deliveries(`&generation=${generation}`);
  expect([after?.attempts, after?.last_status, shop.received.length]).toEqual([2, recorded, 2]);
  if (recorded === others) expect(after).toEqual(before);
  else expect(after).toMatchObject({ status: "delivered", next_attempt_at: null });
});

test("a clock that jumps over the claim takes no attempt from its own program", async () => {
  const shop = recipient();
  const released = Promise.withResolvers<void>();
  shop.answer = async () => {
    await released.promise;
    return new Response();
  };
  const sender = await router([shop]);
  const generation = await sender.make({ webhook_url: shop.url });
  await shop.has(1);
  sender.advance(claimOverMs);
  await Bun.sleep(oneLookMs);
  released.resolve();
  expect(await sender.deliveryOf(generation, ({ status }) => status === "delivered")).toMatchObject({ attempts: 1 });
  expect(shop.received).toHaveLength(1);
});

test("a program that stops waits for an answer that is on its way, and not for one that does not come", async () => {
  const [quick, hanging] = [recipient("quick.test"), recipient("hanging.test")];
  quick.answer = async () => {
    await Bun.sleep(800);
    return new Response();
  };
  hanging.answer = () => new Promise<Response>(() => {});
  const resolve = async () => ["127.0.0.1"];
  const first = await router([quick, hanging], { resolve });
  const [answered, lost] = [
    await first.make({ webhook_url: quick.url }),
    await first.make({ webhook_url: hanging.url }),
  ];
  await Promise.all([quick.has(1), hanging.has(1)]);
  const begun = performance.now();
  await first.stop();
  expect(performance.now() - begun).toBeLessThan(6_000);
  const second = await router([quick, hanging], { resolve, dataFolder: first.dataFolder, keys: first.keys });
  expect(await second.deliveries(`&generation=${answered}`)).toMatchObject([{ status: "delivered", attempts: 1 }]);
  expect(await second.deliveries(`&generation=${lost}`)).toMatchObject([{ status: "pending", last_status: null }]);
});
