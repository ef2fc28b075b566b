/** `Prefer: respond-async`: 202 now, the generation under its address until it has ended. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { startRouter, type TestRouter } from "../router.ts";
import {
  dallE2,
  expectError,
  type GenerationObject,
  type Json,
  jsonOf,
  makeKey,
  startUpstreams,
  until,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const upstreams = startUpstreams();
const { openai } = upstreams;
let router: TestRouter;
beforeAll(async () => {
  router = await startRouter({ env: { ...upstreams.env, AROUTER_UPSTREAM_RETRIES: "0" } });
});
afterEach(() => {
  upstreams.clear();
  openai.latencyMs = 0;
});
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

const later = (extra: Json = {}, headers: Record<string, string> = {}) =>
  router.generate(
    { model: dallE2, prompt: "a lighthouse", size: "256x256", ...extra },
    { headers: { prefer: "respond-async", ...headers } },
  );
const look = (response: Response) => router.get(response.headers.get("location") ?? "");
const endOf = (response: Response) =>
  until(async () => {
    const record = await jsonOf<GenerationObject>(await look(response));
    return record.finished === null ? undefined : record;
  });

test("202 at once with the generation, its address, and how long to wait; the end is found there", async () => {
  openai.latencyMs = 700;
  const begun = performance.now();
  const response = await later();
  expect(performance.now() - begun).toBeLessThan(600);
  expect(response.status).toBe(202);
  const accepted = await jsonOf<GenerationObject>(response);
  expect(accepted).toMatchObject({
    object: "image.generation",
    status: "running",
    finished: null,
    data: [],
    cost_usd: 0,
  });
  expect(Object.fromEntries(response.headers)).toMatchObject({
    location: `/v1/images/generations/${accepted.id}`,
    "x-arouter-generation-id": accepted.id,
    "x-arouter-model": dallE2,
    "x-arouter-provider": "openai",
    "x-arouter-cost-usd": "0",
    "preference-applied": "respond-async",
    "retry-after": "2",
  });
  const running = await look(response);
  expect(running.status).toBe(200);
  expect(running.headers.get("retry-after")).toBe("2");
  expect(await jsonOf(running)).toEqual(accepted as unknown as Json);
  const ended = await endOf(response);
  expect(ended).toMatchObject({ id: accepted.id, status: "succeeded", cost_usd: 0.016 });
  expect(ended.data[0]?.url).toStartWith(`${router.url}/v1/images/files/`);
  expect((await look(response)).headers.has("retry-after")).toBeFalse();
});

test("other preferences beside it do not matter; without it the answer is the picture's", async () => {
  for (const prefer of ["wait=10, respond-async", "Respond-Async", "respond-async; foo=bar"]) {
    expect((await later({}, { prefer })).status).toBe(202);
  }
  for (const prefer of ["", "respond-asynchronously", "return=minimal"]) {
    const response = await later({}, { prefer });
    expect(response.status).toBe(200);
    expect(response.headers.has("preference-applied")).toBeFalse();
  }
});

test("what is wrong with the request is told at once", async () => {
  await expectError(await later({ size: "1x1" }), "invalid_value", { param: "size" });
  await expectError(await later({ stream: true }), "invalid_value", { param: "stream" });
  await expectError(await later({}, { accept: "image/*" }), "invalid_value", { message: /respond-async/ });
  await expectError(await later({ model: "openai/none" }), "model_not_found");
});

test("what goes wrong later is in the generation", async () => {
  const response = await later({ prompt: "[[moderate]]" });
  expect(response.status).toBe(202);
  expect(await endOf(response)).toMatchObject({
    status: "failed",
    cost_usd: 0,
    error: { code: "content_policy_violation" },
  });
});

test("a repeat is 202 with the state as it is, and starts nothing", async () => {
  openai.latencyMs = 400;
  const before = openai.requestsAt("create").length;
  const headers = { "idempotency-key": "later-and-later" };
  const first = await later({}, headers);
  const again = await later({}, headers);
  expect(await jsonOf(again)).toMatchObject({ id: first.headers.get("x-arouter-generation-id"), status: "running" });
  await endOf(first);
  const late = await later({}, headers);
  expect(late.status).toBe(202);
  expect(late.headers.has("retry-after")).toBeFalse();
  expect(late.headers.get("x-arouter-cost-usd")).toBe("0.016");
  expect(await jsonOf(late)).toMatchObject({ status: "succeeded" });
  expect(openai.requestsAt("create").length - before).toBe(1);
  // The same job, seen as an ordinary answer.
  const plain = await router.generate(
    { model: dallE2, prompt: "a lighthouse", size: "256x256" },
    { headers: { "idempotency-key": "later-and-later" } },
  );
  expect(plain.status).toBe(200);
  expect(plain.headers.get("x-arouter-generation-id")).toBe(first.headers.get("x-arouter-generation-id"));
});

test("a repeat of one whose pictures are gone is 202, expired, and harms nobody", async () => {
  const headers = { "idempotency-key": "later-and-gone" };
  const first = await later({}, headers);
  const { data } = await endOf(first);
  const removed = await fetch(data[0]?.url ?? "", {
    method: "DELETE",
    headers: { authorization: `Bearer ${router.keys.live}` },
  });
  expect(removed.status).toBe(200);
  const again = await later({}, headers);
  expect(again.status).toBe(202);
  expect(await jsonOf(again)).toMatchObject({ status: "expired" });
  expect((await router.get("/healthz")).status).toBe(200);
});

test("the calls are on the record for the owner and for management keys: when, what, how long", async () => {
  openai.latencyMs = 120;
  const response = await later({ n: 2 });
  const { attempts, id } = await endOf(response);
  const seen = structuredClone(attempts) as unknown;
  const [attempt] = attempts as unknown as Json[];
  const timings = structuredClone(attempt?.timings) as Record<string, number>;
  expect(attempt).toMatchObject({
    provider: "openai",
    model: "dall-e-2",
    round: 0,
    status: "succeeded",
    started: expect.any(Number),
    finished: expect.any(Number),
    upstream_id: expect.stringMatching(/^req_/),
    sent: { model: "dall-e-2", n: 2, size: "256x256" },
    timings: { queued_ms: expect.any(Number), first_byte_ms: expect.any(Number), total_ms: expect.any(Number) },
  });
  expect(timings.first_byte_ms).toBeGreaterThanOrEqual(100);
  expect(timings.total_ms).toBeGreaterThanOrEqual((timings.queued_ms ?? 0) + (timings.first_byte_ms ?? 0));
  const forManagement = await jsonOf<Json>(await router.get(`/v1/images/generations/${id}`, router.keys.management));
  expect(forManagement.attempts).toEqual(seen);
  const another = await makeKey(router.dataFolder, "live");
  await expectError(await router.get(`/v1/images/generations/${id}`, another), "not_found");
});

test("no other key is led to it", async () => {
  const response = await later();
  const another = await makeKey(router.dataFolder, "live");
  await expectError(await router.get(response.headers.get("location") ?? "", another), "not_found");
});
