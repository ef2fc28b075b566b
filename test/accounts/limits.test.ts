/** Budgets and repeats end to end, against the real router and an upstream double that counts what it bills. */

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startRouter, type TestRouter } from "../router.ts";

const openai = startOpenAi();
const replicate = startReplicate({ fileOrigin: "same", progress: { polls: 6 } });
let router: TestRouter;

beforeAll(async () => {
  router = await startRouter({
    env: {
      OPENAI_API_KEY: openai.key,
      OPENAI_BASE_URL: openai.url,
      REPLICATE_API_TOKEN: replicate.key,
      REPLICATE_BASE_URL: replicate.url,
    },
  });
});
afterAll(async () => {
  await router.remove();
  await openai.stop();
  await replicate.stop();
});

const small = { model: "openai/dall-e-2", prompt: "a cup", size: "256x256" }; // $0.016

function sql<T>(query: string): T[] {
  const file = new Database(join(router.dataFolder, "arouter.db"));
  try {
    return file.query(query).all() as T[];
  } finally {
    file.close();
  }
}

function run(statement: string): void {
  const file = new Database(join(router.dataFolder, "arouter.db"));
  file.run("PRAGMA busy_timeout = 5000");
  file.run(statement);
  file.close();
}

test("200 concurrent requests against a budget for 37 deliver exactly 37", async () => {
  run(`update keys set limit_nanos = ${37 * 16_000_000 + 15_999_999} where kind = 'live'`);
  const before = openai.billed;
  const answers = await Promise.all(Array.from({ length: 200 }, () => router.generate(small)));
  const statuses = answers.map(({ status }) => status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(37);
  expect(statuses.filter((status) => status === 402)).toHaveLength(163);
  expect(openai.billed - before).toBe(37);
  const refused = answers.find(({ status }) => status === 402);
  expect(await refused?.json()).toMatchObject({ code: "spend_limit_exceeded" });
  expect(sql("select held_nanos, running, charged_nanos from key_counters where charged_nanos > 0")).toEqual([
    { held_nanos: 0, running: 0, charged_nanos: 37 * 16_000_000 },
  ]);
  run("update keys set limit_nanos = null");
}, 30_000);

test("one idempotency key, one charge: in flight, finished, conflict", async () => {
  const before = openai.billed;
  const headers = { "idempotency-key": "order-1" };
  openai.latencyMs = 200;
  const [one, other] = await Promise.all([router.generate(small, { headers }), router.generate(small, { headers })]);
  openai.latencyMs = 0;
  const later = await router.generate({ ...small, response_format: "b64_json" }, { headers });
  expect([one?.status, other?.status, later.status]).toEqual([200, 200, 200]);
  expect(await one?.json()).toEqual(await other?.json());
  expect(later.headers.get("x-arouter-generation-id")).toBe(one?.headers.get("x-arouter-generation-id") ?? "");
  expect(openai.billed - before).toBe(1);
  const conflict = await router.generate({ ...small, prompt: "a saucer" }, { headers });
  expect([conflict.status, ((await conflict.json()) as { code: string }).code]).toEqual([409, "idempotency_conflict"]);
  const bad = await router.generate(small, { headers: { "idempotency-key": "with space" } });
  expect(((await bad.json()) as { code: string }).code).toBe("invalid_idempotency_key");
});

test("the official clients' silent retry joins what it repeats", async () => {
  const before = openai.billed;
  const body = { ...small, prompt: "retry me" };
  const first = await router.generate(body);
  const retry = await router.generate(body, { headers: { "x-stainless-retry-count": "1" } });
  expect(retry.headers.get("x-arouter-generation-id")).toBe(first.headers.get("x-arouter-generation-id") ?? "");
  const second = await router.generate(body);
  expect(second.headers.get("x-arouter-generation-id")).not.toBe(first.headers.get("x-arouter-generation-id"));
  expect(openai.billed - before).toBe(2);
});

test("a running job is canceled upstream and costs nothing", async () => {
  const answer = router.generate({ model: "black-forest-labs/flux-1-pro", prompt: "cancel me", size: "256x256" });
  await replicate.arrived();
  let id = "";
  while (id === "") {
    id = sql<{ id: string }>("select id from generations where status = 'running'")[0]?.id ?? "";
    await Bun.sleep(20);
  }
  await Bun.sleep(300);
  const canceled = await fetch(`${router.url}/v1/images/generations/${id}`, {
    method: "DELETE",
    headers: { authorization: `Bearer ${router.keys.live}` },
  });
  expect([canceled.status, ((await canceled.json()) as { status: string }).status]).toEqual([200, "canceled"]);
  expect((await answer).status).toBe(410);
  expect(replicate.requestsAt("cancel")).toHaveLength(1);
  expect(sql("select sum(held_nanos) held from account")).toEqual([{ held: 0 }]);
});
