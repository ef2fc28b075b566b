/** `arouter webhooks`: what it prints agrees with what is sent, and a person can check a signature with what it says. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { emptyFolder, run, runJson } from "../journeys/child.ts";
import {
  type Delivery,
  isSignedBy,
  type Recipient,
  startRecipient,
  startWebhookRouter,
  type WebhookRouter,
} from "./support.ts";

setDefaultTimeout(60_000);

let shop: Recipient;
let router: WebhookRouter;
let options: { cwd: string; env: Record<string, string> };
let key: { key: string; hash: string };
beforeAll(async () => {
  shop = startRecipient();
  router = await startWebhookRouter([shop]);
  options = {
    cwd: emptyFolder(),
    env: { AROUTER_DATA: router.dataFolder, AROUTER_WEBHOOK_ORIGINS: shop.origin, PATH: process.env.PATH ?? "" },
  };
  const made = await router.call("POST", "/api/v1/keys", { name: "web shop", type: "test", webhook_url: shop.url });
  const { key: secret, data } = (await made.json()) as { key: string; data: { hash: string } };
  key = { key: secret, hash: data.hash };
});
afterAll(async () => {
  await router.remove();
  await shop.stop();
});

test("list shows the keys that have a webhook URL", async () => {
  const listed = await runJson<object[]>(["webhooks", "list"], options);
  expect(listed).toEqual([{ hash: key.hash, name: "web shop", type: "test", webhook_url: shop.url }]);
  const { stdout } = await run(["webhooks", "list"], options);
  expect(stdout).toMatch(/NAME +TYPE +KEY +URL +HASH\nweb shop +test +lr_test_/);
  expect(stdout).toContain(shop.url);
});

test("secret shows what signs, and --rotate replaces it", async () => {
  const own = await router.secretOf(key.key);
  const { stdout } = await run(["webhooks", "secret", "web shop"], options);
  expect(stdout.trim()).toBe(own);
  const rotated = await runJson<{ secret: string; previous: object[] }>(
    ["webhooks", "secret", key.hash, "--rotate"],
    options,
  );
  expect(rotated.secret).not.toBe(own);
  expect(rotated.previous).toHaveLength(1);
  expect(await router.secretOf(key.key)).toBe(rotated.secret);
  expect((await run(["webhooks", "secret", "web shop"], options)).stdout).toContain("signs too, until 20");
  const refused = await run(["webhooks", "secret", "nobody"], options);
  expect([refused.code, refused.stdout, refused.stderr]).toEqual([1, "", expect.stringContaining("nobody")]);
});

test("test sends a signed event, says what was sent and what came back, and the line it prints signs the same", async () => {
  const before = shop.received.length;
  const { code, stdout } = await run(["webhooks", "test", shop.url, "--key", "web shop"], options);
  const received = shop.received[before] as Recipient["received"][number];
  expect([code, JSON.parse(received.body)]).toEqual([0, expect.objectContaining({ type: "webhook.test" })]);
  const secret = await router.secretOf(key.key);
  expect(await isSignedBy(secret, received)).toBe(true);
  expect(stdout).toContain("accepted with status 204");
  for (const name of ["webhook-id", "webhook-timestamp", "webhook-signature"]) {
    expect(stdout).toContain(`${name}: ${received.headers.get(name)}`);
  }
  const line = /^ *(printf .*base64)$/m.exec(stdout)?.[1] ?? "";
  const shell = Bun.spawnSync(["bash", "-c", line]);
  expect(received.headers.get("webhook-signature")?.split(" ")[0]).toBe(`v1,${shell.stdout.toString().trim()}`);
});

test("test without a key signs with a secret of its own, which it shows", async () => {
  const before = shop.received.length;
  const tried = await runJson<{ delivered: boolean; status: number; secrets: string[] }>(
    ["webhooks", "test", shop.url],
    options,
  );
  expect(tried).toMatchObject({ delivered: true, status: 204 });
  expect(await isSignedBy(tried.secrets[0] ?? "", shop.received[before] as never)).toBe(true);
});

test("test ends with 1 where the event is not accepted, and says why", async () => {
  shop.answer = () => new Response(null, { status: 503 });
  const busy = await run(["webhooks", "test", shop.url], options);
  expect([busy.code, busy.stdout]).toEqual([1, expect.stringContaining("not accepted: status 503")]);
  shop.answer = () => new Response();
  const untrusted = { ...options, env: { ...options.env, AROUTER_WEBHOOK_ORIGINS: "" } };
  const plain = await run(["webhooks", "test", shop.url], untrusted);
  expect([plain.code, plain.stderr]).toEqual([1, expect.stringContaining("only https URLs are accepted")]);
  const inside = await run(["webhooks", "test", shop.url.replace("http:", "https:")], untrusted);
  expect([inside.code, inside.stdout]).toEqual([1, expect.stringContaining("private, loopback or reserved address")]);
});

test("deliveries shows the log", async () => {
  const generation = await router.make({}, key.key);
  const delivery = await router.deliveryOf(generation, ({ status }) => status === "delivered");
  const listed = await runJson<Delivery[]>(
    ["webhooks", "deliveries", "--key", "web shop", "--status", "delivered"],
    options,
  );
  expect(listed).toEqual([expect.objectContaining({ ...delivery })]);
  const { stdout } = await run(["webhooks", "deliveries", "--generation", generation], options);
  expect(stdout).toMatch(/EVENT AT +GENERATION +STATE/);
  expect(stdout).toContain(generation);
  expect((await run(["webhooks", "deliveries", "--status", "given_up"], options)).stdout).toBe("No deliveries.\n");
});

test("every command explains itself", async () => {
  for (const command of [[], ["list"], ["deliveries"], ["secret"], ["test"]]) {
    const { code, stdout } = await run(["webhooks", ...command, "--help"], options);
    expect([command, code, stdout.startsWith("Usage: arouter webhooks")]).toEqual([command, 0, true]);
  }
});
