/** The client's pictures lie on the disk for as long as their generation runs, and no longer, whatever its end. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { killAll, startChild } from "../crash/harness.ts";
import { startBfl } from "../doubles/bfl.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { picture } from "../doubles/picture.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { expectError, imagesOf, type Json, until } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const openai = startOpenAi();
const bfl = startBfl({ fileOrigin: "same" });
const env = {
  OPENAI_API_KEY: openai.key,
  OPENAI_BASE_URL: openai.url,
  BFL_API_KEY: bfl.key,
  BFL_BASE_URL: bfl.url,
};
const pictures = [1, 2, 3].map((seed) => picture({ width: 64, height: 64, seed }));
let router: TestRouter;
beforeAll(async () => {
  router = await startRouter({ env });
});
beforeEach(() => {
  bfl.progress = { runMs: 20 };
});
afterEach(() => {
  openai.latencyMs = 0;
  openai.clear();
});
afterAll(async () => {
  killAll();
  await router.remove();
  for (const double of [openai, bfl]) await double.stop();
});

function left(folder = router.dataFolder): string[] {
  const inputs = join(folder, "inputs");
  return existsSync(inputs) ? readdirSync(inputs) : [];
}

function edit(
  fields: Json = {},
  headers: Record<string, string> = {},
  at: Pick<TestRouter, "url" | "keys"> = router,
): Promise<Response> {
  const data = new FormData();
  const asked = { model: "openai/gpt-image-2", prompt: "a hat", size: "1024x1024", quality: "low", ...fields };
  for (const [name, value] of Object.entries(asked)) if (value !== undefined) data.append(name, String(value));
  for (const bytes of pictures) data.append("image[]", new File([bytes as Uint8Array<ArrayBuffer>], "a.png"));
  const authorization = `Bearer ${at.keys.live}`;
  return fetch(`${at.url}/v1/images/edits`, { method: "POST", body: data, headers: { authorization, ...headers } });
}

const allGone = () => until(() => (left().length === 0 ? true : undefined));

const ends: Array<[what: string, fields: Json, status: number, headers?: Record<string, string>]> = [
  ["delivered", {}, 200],
  ["streamed", { stream: "true", partial_images: "1" }, 200],
  ["refused by the provider", { prompt: "[[moderate]]" }, 400],
  ["failed at the provider", { prompt: "[[500]]" }, 502],
  ["a word that is none", { quality: "lavish" }, 400],
  ["a model that cannot", { model: "openai/dall-e-3", quality: undefined }, 400],
  ["a webhook that is none", { webhook_url: "http://plain.example/" }, 400],
  ["no price low enough", { "provider[max_price]": "0.000001" }, 400],
  ["a provider that is not there", { "provider[only][]": "stability" }, 400],
  ["an idempotency key that is none", {}, 400, { "idempotency-key": "\u00e9" }],
];
for (const [what, fields, status, headers] of ends) {
  test(`${what}: gone with the answer`, async () => {
    const answer = await edit(fields, headers);
    await answer.arrayBuffer();
    expect(answer.status).toBe(status);
    await allGone();
  });
}

test("there while the job runs, gone when it has been canceled", async () => {
  bfl.progress = { runMs: 3_600_000 };
  const asked = { model: "black-forest-labs/flux-1-kontext-pro", size: undefined, quality: undefined };
  const before = bfl.requestsAt("poll").length;
  const accepted = await edit(asked, { prefer: "respond-async" });
  expect(accepted.status).toBe(202);
  await bfl.arrived(before + 1, "poll");
  expect(left()).toHaveLength(3);
  const authorization = `Bearer ${router.keys.live}`;
  await fetch(router.url + accepted.headers.get("location"), { method: "DELETE", headers: { authorization } });
  // BFL knows no canceling: its task goes on, and its picture is waited for.
  for (const task of bfl.tasks) task.progress = { runMs: 0 };
  await allGone();
});

test("a repeat's are gone before the generation that it joins has ended", async () => {
  openai.latencyMs = 1_500;
  const headers = { "idempotency-key": "order-1" };
  const first = edit({}, headers);
  await openai.arrived(openai.requestsAt("create").length + 1);
  const second = edit({}, headers);
  await Bun.sleep(700);
  expect(left()).toHaveLength(3);
  await Promise.all([first, second].map(async (answer) => imagesOf(await answer)));
  await allGone();
});

test("a killed program's are removed by the next one, half a minute later", async () => {
  const dataFolder = mkdtempSync(join(tmpdir(), "arouter-inputs-"));
  openai.latencyMs = 60_000;
  const killed = await startChild(dataFolder, env);
  const { keys } = killed;
  const before = openai.requestsAt("create").length;
  const cut = edit({}, {}, killed).catch(() => null);
  await openai.arrived(before + 1);
  expect(left(dataFolder)).toHaveLength(3);
  await killed.kill();
  await cut;
  openai.latencyMs = 0;
  const next = await startRouter({ env, dataFolder, keys });
  try {
    next.advance(31_000);
    await until(() => (left(dataFolder).length === 0 ? true : undefined));
    // The pictures of the program that lives are not taken for left ones, however long its job has run.
    openai.latencyMs = 7_000;
    const running = edit({}, {}, next);
    await openai.arrived(before + 2);
    next.advance(3 * 3_600_000);
    await Bun.sleep(5_500);
    expect(left(dataFolder)).toHaveLength(3);
    await running;
    await until(() => (left(dataFolder).length === 0 ? true : undefined));
  } finally {
    await next.remove();
    rmSync(dataFolder, { recursive: true, force: true });
  }
});

test("no key, no pictures: nothing is written before the key has been looked at", async () => {
  const answer = await edit({}, { authorization: "Bearer lr_live_nobody" });
  await expectError(answer, "invalid_api_key");
  expect(left()).toEqual([]);
});
