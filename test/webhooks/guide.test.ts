/** The recipient of the guide, run as it stands there: it takes what is ours and refuses everything else. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { emptyFolder, start } from "../journeys/child.ts";
import { blocksOf } from "../journeys/documents.ts";
import { eventually, startWebhookRouter } from "./support.ts";

setDefaultTimeout(60_000);

const ended: (() => unknown)[] = [];
afterAll(async () => {
  for (const end of ended.reverse()) await end();
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

test("it accepts events, once each, and refuses forged, altered and old ones", async () => {
  const [block, second] = blocksOf("docs/guides/webhooks.md").filter(({ language }) => language === "js");
  expect([block?.code.includes("listen(3000"), second]).toEqual([true, undefined]);
  const port = await freePort();
  const cwd = emptyFolder();
  writeFileSync(join(cwd, "recipient.mjs"), (block?.code ?? "").replace("listen(3000", `listen(${port}`));
  const origin = `http://127.0.0.1:${port}`;
  const router = await startWebhookRouter([{ origin }]);
  ended.push(() => router.remove());
  const secret = await router.secretOf(router.keys.test);
  // Node is what the guide says; Bun where there is none.
  const program = [Bun.which("node") ?? process.execPath, "recipient.mjs"];
  const child = start([], { cwd, program, env: { WEBHOOK_SECRET: secret } });
  ended.push(() => child.kill("SIGKILL"));
  const answers = () =>
    fetch(origin, { method: "POST" }).then(
      ({ status }) => status === 401,
      () => false,
    );
  await eventually(answers, "the recipient does not listen");

  const generation = await router.make({ webhook_url: `${origin}/arouter` });
  await child.says(`generation.succeeded ${generation}\n`);
  await router.deliveryOf(generation, ({ status }) => status === "delivered");

  const seconds = Math.floor(Date.now() / 1000);
  const post = async (id: string, timestamp: number, body: string, signature: string) => {
    const headers = { "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": signature };
    return (await fetch(origin, { method: "POST", headers, body })).status;
  };
  const key = Uint8Array.from(atob(secret.slice(6)), (character) => character.charCodeAt(0));
  const sign = async (text: string) => {
    const own = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    return `v1,${new Uint8Array(await crypto.subtle.sign("HMAC", own, new TextEncoder().encode(text))).toBase64()}`;
  };
  const body = '{"type":"webhook.test","data":{"id":"貓"}}';
  const good = await sign(`evt-1.${seconds}.${body}`);
  expect(await post("evt-1", seconds, body, good)).toBe(204);
  expect(await post("evt-1", seconds, body, `v1,AAAA ${good}`)).toBe(204);
  expect(await post("evt-1", seconds, `${body} `, good)).toBe(401);
  expect(await post("evt-2", seconds, body, good)).toBe(401);
  expect(await post("evt-1", seconds, body, good.replace("v1,", "v2,"))).toBe(401);
  const old = seconds - 600;
  expect(await post("evt-1", old, body, await sign(`evt-1.${old}.${body}`))).toBe(401);
  // Twice accepted, once told.
  expect(child.output().stdout.split("webhook.test").length - 1).toBe(1);
});
