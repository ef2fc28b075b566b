/** The fal double against upstream-apis.md §6.1: one row per documented status and message. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { type FalDouble, falFault, startFal } from "./fal.ts";
import { picture } from "./picture.ts";

let skippedMs = 0;
const double = startFal({ now: () => Date.now() + skippedMs });
beforeEach(() => {
  double.progress = { pendingPolls: 0 };
});
afterAll(() => double.stop());

interface Image {
  url: string;
  width: number;
  height: number;
  content_type: string;
}
interface Answer {
  request_id: string;
  status: string;
  status_url: string;
  response_url: string;
  cancel_url: string;
  images: Image[];
  has_nsfw_concepts: boolean[];
  detail: { loc: unknown[]; msg: string; type: string }[];
  [key: string]: unknown;
}

const schnell = "fal-ai/flux/schnell";
const auth = { authorization: `Key ${double.key}` };

function ask(input: object = {}, app = schnell, headers: object = {}, base = double.url): Promise<Response> {
  const all = { ...auth, "content-type": "application/json", ...headers };
  return fetch(`${base}/${app}`, { method: "POST", headers: all, body: JSON.stringify({ prompt: "a fox", ...input }) });
}

async function bodyOf(response: Response | Promise<Response>, status = 200): Promise<Answer> {
  const answer = await response;
  expect(answer.status).toBe(status);
  return (await answer.json()) as Answer;
}

const get = (url: string, status = 200) => bodyOf(fetch(url, { headers: auth }), status);
const cancel = (request: Answer) => fetch(request.cancel_url, { method: "PUT", headers: auth });

async function resultOf(input: object, app = schnell, status = 200): Promise<Answer> {
  return get((await bodyOf(ask(input, app))).response_url, status);
}

async function whatIsAt({ url, width, height, content_type }: Image): Promise<string> {
  const response = await fetch(url);
  const found = await new Bun.Image(await response.bytes()).metadata();
  expect([found.width, found.height, response.headers.get("content-type")]).toEqual([width, height, content_type]);
  return `${width}x${height} ${found.format}`;
}

describe("the queue", () => {
  test("IN_QUEUE, IN_PROGRESS, COMPLETED; addresses of owner and app alone; 202 until it is done", async () => {
    double.progress = { pendingPolls: 3 };
    const before = double.billed;
    const response = await ask({ seed: 7, num_images: 2 });
    const queued = await bodyOf(response);
    const address = `${double.url}/fal-ai/flux/requests/${queued.request_id}`;
    const addresses = { response_url: address, status_url: `${address}/status`, cancel_url: `${address}/cancel` };
    expect<unknown>(queued).toEqual({
      status: "IN_QUEUE",
      request_id: queued.request_id,
      ...addresses,
      queue_position: 0,
    });
    expect(response.headers.get("x-fal-request-id")).toBe(queued.request_id);
    expect(await get(queued.status_url, 202)).toMatchObject({ status: "IN_QUEUE", queue_position: 0, ...addresses });
    expect(await get(queued.status_url, 202)).toMatchObject({ status: "IN_PROGRESS" });
    expect(await get(queued.response_url, 400)).toMatchObject({ detail: "Request is still in progress" });
    expect(await get(queued.status_url, 202)).toMatchObject({ status: "IN_PROGRESS" });
    expect(double.billed - before).toBe(0);
    expect(await get(queued.status_url)).toMatchObject({ status: "COMPLETED", request_id: queued.request_id });
    expect(double.billed - before).toBe(2);
    const result = await get(queued.response_url);
    expect(Object.keys(result).sort()).toEqual(["has_nsfw_concepts", "images", "prompt", "seed", "timings"]);
    expect(result).toMatchObject({ seed: 7, prompt: "a fox", has_nsfw_concepts: [false, false] });
    expect(await get(queued.response_url)).toEqual(result);
  });

  test("or by the clock, whether or not anybody asks", async () => {
    double.progress = { queueMs: 1000, runMs: 1000 };
    const before = double.billed;
    const queued = await bodyOf(ask());
    expect(await get(queued.status_url, 202)).toMatchObject({ status: "IN_QUEUE" });
    skippedMs += 1000;
    expect(await get(queued.status_url, 202)).toMatchObject({ status: "IN_PROGRESS" });
    skippedMs += 1000;
    expect(double.billed - before).toBe(1);
    expect(await get(queued.status_url)).toMatchObject({ status: "COMPLETED", metrics: { inference_time: 1 } });
  });

  test("cancel: taken out of the queue for nothing; finished and charged when running; 400 when over; 404", async () => {
    double.progress = { pendingPolls: 3 };
    const before = double.billed;
    const waiting = await bodyOf(ask());
    expect(await bodyOf(cancel(waiting), 202)).toMatchObject({ status: "CANCELLATION_REQUESTED" });
    expect(await get(waiting.status_url)).toMatchObject({ status: "COMPLETED" });
    expect(await get(waiting.response_url, 499)).toMatchObject({ error_type: "client_cancelled" });
    expect(double.billed - before).toBe(0);
    const running = await bodyOf(ask());
    await get(running.status_url, 202);
    await get(running.status_url, 202);
    await bodyOf(cancel(running), 202);
    expect(await get(running.status_url, 202)).toMatchObject({ status: "IN_PROGRESS" });
    await get(running.status_url);
    expect(double.billed - before).toBe(1);
    expect(await bodyOf(cancel(running), 400)).toMatchObject({ status: "ALREADY_COMPLETED" });
    const nobody = { ...running, cancel_url: running.cancel_url.replace(running.request_id, "nope") };
    expect(await bodyOf(cancel(nobody), 404)).toMatchObject({ status: "NOT_FOUND" });
    expect(double.requestsAt("cancel")).toHaveLength(4);
    expect((await fetch(running.cancel_url, { method: "POST", headers: auth })).status).toBe(405);
  });

  test("addresses with the whole app id do not exist, nor another app's", async () => {
    const queued = await bodyOf(ask());
    await get(`${double.url}/${schnell}/requests/${queued.request_id}/status`, 405);
    await get(`${double.url}/fal-ai/flux-pro/requests/${queued.request_id}/status`, 404);
    await get(`${double.url}/fal-ai/flux/requests/nope`, 404);
    await get(`${double.url}/${schnell}`, 405);
  });

  test("x-fal-request-timeout: too long in the queue is a 504 of the user's own", async () => {
    double.progress = { queueMs: 2500, runMs: 1 };
    const late = await bodyOf(ask({}, schnell, { "x-fal-request-timeout": "2" }));
    const patient = await bodyOf(ask({}, schnell, { "x-fal-request-timeout": "3" }));
    skippedMs += 3000;
    const answer = await fetch(late.response_url, { headers: auth });
    expect([answer.status, answer.headers.get("x-fal-request-timeout-type")]).toEqual([504, "user"]);
    await get(patient.response_url);
  });

  test("the other base answers at once", async () => {
    double.progress = { queueMs: 5, runMs: 30 };
    const startedAt = performance.now();
    const response = await ask({}, schnell, {}, double.syncUrl);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(35);
    expect(response.headers.get("x-fal-request-id")).toBe(double.jobs.at(-1)?.id ?? "");
    expect((await bodyOf(response)).images).toHaveLength(1);
    double.progress = { pendingPolls: 5 };
    expect(await bodyOf(ask({ prompt: "[[500]]" }, schnell, {}, double.syncUrl), 500)).toHaveProperty("detail");
  });
});

describe("results", () => {
  const image_url = `data:image/png;base64,${picture({ width: 320, height: 240 }).toBase64()}`;
  const cases: [app: string, input: object, count: number, expected: string][] = [
    [schnell, {}, 1, "1024x768 jpeg"],
    [schnell, { image_size: "square", num_images: 4, output_format: "png" }, 4, "512x512 png"],
    ["fal-ai/flux/dev", { image_size: { width: 640, height: 480 }, num_inference_steps: 50 }, 1, "640x480 jpeg"],
    ["fal-ai/flux-pro/v1.1", { image_size: "portrait_16_9", safety_tolerance: "6" }, 1, "576x1024 jpeg"],
    ["fal-ai/flux-pro/v1.1-ultra", {}, 1, "2752x1536 jpeg"],
    ["fal-ai/flux-pro/v1.1-ultra", { aspect_ratio: "1:1", image_url }, 1, "2048x2048 jpeg"],
    ["fal-ai/flux-2-pro", { image_size: "square_hd" }, 1, "1024x1024 jpeg"],
    ["fal-ai/flux-2-pro/edit", { image_urls: [image_url] }, 1, "320x240 jpeg"],
    ["fal-ai/flux-pro/kontext", { image_url, aspect_ratio: "1:1", num_images: 2 }, 2, "1024x1024 jpeg"],
  ];
  test.each(cases)("%s %o: %p of %s", async (app, input, count, expected) => {
    const before = double.billed;
    const { images } = await resultOf(input, app);
    expect(await Promise.all(images.map(whatIsAt))).toEqual(Array(count).fill(expected));
    expect(double.billed - before).toBe(count);
  });

  test("are on another origin, and credentials there are noticed; with sync_mode they are data", async () => {
    const [image] = (await resultOf({})).images;
    expect(new URL(image?.url ?? "").origin).toBe(double.fileOrigin);
    expect(double.fileOrigin).not.toBe(double.origin);
    expect(double.credentialsAtFiles).toEqual([]);
    await fetch(image?.url ?? "", { headers: auth });
    expect(double.credentialsAtFiles).toEqual([auth.authorization]);
    double.expireLinks();
    expect((await fetch(image?.url ?? "")).status).toBe(404);
    const [inline] = (await resultOf({ sync_mode: true })).images;
    expect(inline?.url).toStartWith("data:image/jpeg;base64,/9j/");
  });

  test("pictures that came along can be looked at", async () => {
    const link = "https://a.example/b.png";
    await resultOf({ image_urls: [image_url, link] }, "fal-ai/flux-2-pro/edit");
    expect(double.jobs.at(-1)?.pictures).toMatchObject([
      { field: "image_urls[0]", bytes: picture({ width: 320, height: 240 }), width: 320 },
      { field: "image_urls[1]", bytes: undefined, url: link },
    ]);
  });

  test("some apps answer a single image", async () => {
    const single: FalDouble = startFal({ singleImage: true, progress: { pendingPolls: 0 } });
    const queued = await bodyOf(ask({}, schnell, { authorization: `Key ${single.key}` }, single.url));
    const result = await get(queued.response_url);
    expect([Object.keys(result).includes("images"), single.billed]).toEqual([false, 1]);
    expect(await whatIsAt(result.image as Image)).toBe("1024x768 jpeg");
    await single.stop();
  });

  test("flagged pictures come back black with the boolean set, and are charged", async () => {
    const before = double.billed;
    const { images, has_nsfw_concepts } = await resultOf({ prompt: "[[nsfw:1]]", num_images: 2, output_format: "png" });
    expect(has_nsfw_concepts).toEqual([true, false]);
    expect(await (await fetch(images[0]?.url ?? "")).bytes()).toEqual(picture({ width: 1024, height: 768, seed: 0 }));
    const all = await resultOf({ prompt: "[[nsfw]]", num_images: 2 });
    expect(all.has_nsfw_concepts).toEqual([true, true]);
    expect(await whatIsAt(all.images[0] ?? ({} as Image))).toBe("1024x768 jpeg");
    const free = await resultOf({ prompt: "[[nsfw]]", enable_safety_checker: false });
    expect(free.has_nsfw_concepts).toEqual([false]);
    expect(double.billed - before).toBe(5);
    double.next({ kind: "fewer", images: 1 });
    expect((await resultOf({ num_images: 3 })).images).toHaveLength(1);
  });
});

describe("refusals", () => {
  test("at the door: key, money, rate, app; detail is a string", async () => {
    const door = async (response: Promise<Response>, status: number) => (await bodyOf(response, status)).detail;
    expect(await door(ask({}, schnell, { authorization: "Key wrong" }), 401)).toBeString();
    expect(await door(ask({}, schnell, { authorization: `Bearer ${double.key}` }), 401)).toBeString();
    expect(await door(fetch(`${double.url}/${schnell}`, { method: "POST" }), 401)).toBeString();
    const exhausted = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.";
    expect<unknown>(await door(ask({ prompt: "[[402]]" }), 403)).toBe(exhausted);
    expect<unknown>(await door(ask({ prompt: "[[403]]" }), 403)).toBe(exhausted);
    expect(await door(ask({ prompt: "[[429]]" }), 429)).toBeString();
    expect(await door(ask({}, "fal-ai/flux"), 404)).toBeString();
    double.next(falFault("rate_limited"));
    expect(await door(ask(), 429)).toBeString();
    expect((await fetch(`${double.url}/${schnell}`, { method: "POST", headers: auth, body: "{" })).status).toBe(422);
  });

  const endings: [word: string, status: number, type: string, loc: string[]][] = [
    ["[[moderate]]", 422, "content_policy_violation", ["body", "prompt"]],
    ["[[500]]", 500, "internal_server_error", ["body"]],
    ["[[fail:generation_timeout]]", 504, "generation_timeout", ["body"]],
    ["[[fail:downstream_service_error]]", 400, "downstream_service_error", ["body"]],
    ["[[fail:no_media_generated]]", 422, "no_media_generated", ["body"]],
  ];
  test.each(endings)(
    "%s: taken on, COMPLETED, and %p %s from response_url; not charged",
    async (word, status, type, loc) => {
      const before = double.billed;
      const queued = await bodyOf(ask({ prompt: `x ${word}` }));
      expect(await get(queued.status_url)).toMatchObject({ status: "COMPLETED" });
      const result = await get(queued.response_url, status);
      expect<unknown>(result.detail).toEqual([
        { loc, msg: expect.any(String), type, url: `https://docs.fal.ai/errors#${type}` },
      ]);
      expect(double.billed).toBe(before);
    },
  );

  test("[[504]]: the user's own timeout", async () => {
    const { response_url } = await bodyOf(ask({ prompt: "[[504]]" }));
    const answer = await fetch(response_url, { headers: auth });
    expect(answer.headers.get("x-fal-request-timeout-type")).toBe("user");
    expect(await bodyOf(answer, 504)).toMatchObject({ error_type: "request_timeout" });
  });

  const bad: [app: string, input: object, type: string, ...field: string[]][] = [
    [schnell, { prompt: undefined }, "missing", "prompt"],
    [schnell, { size: "1024x1024" }, "extra_forbidden", "size"],
    [schnell, { image_size: "1024x1024" }, "enum", "image_size"],
    [schnell, { image_size: { width: 512 } }, "missing", "image_size", "height"],
    [schnell, { image_size: { width: 512, height: 20_000 } }, "less_than_equal", "image_size", "height"],
    [schnell, { num_images: 5 }, "less_than_equal", "num_images"],
    [schnell, { num_images: 0 }, "greater_than_equal", "num_images"],
    [schnell, { num_inference_steps: 13 }, "less_than_equal", "num_inference_steps"],
    [schnell, { output_format: "webp" }, "enum", "output_format"],
    [schnell, { safety_tolerance: "2" }, "extra_forbidden", "safety_tolerance"],
    ["fal-ai/flux/dev", { aspect_ratio: "1:1" }, "extra_forbidden", "aspect_ratio"],
    ["fal-ai/flux-pro/v1.1", { safety_tolerance: 2 }, "string_type", "safety_tolerance"],
    ["fal-ai/flux-pro/v1.1-ultra", { image_size: "square" }, "extra_forbidden", "image_size"],
    ["fal-ai/flux-pro/v1.1-ultra", { aspect_ratio: "5:4" }, "enum", "aspect_ratio"],
    ["fal-ai/flux-2-pro", { num_images: 1 }, "extra_forbidden", "num_images"],
    ["fal-ai/flux-2-pro", { safety_tolerance: "6" }, "enum", "safety_tolerance"],
    ["fal-ai/flux-2-pro/edit", {}, "missing", "image_urls"],
    ["fal-ai/flux-2-pro/edit", { image_urls: [] }, "too_short", "image_urls"],
    ["fal-ai/flux-2-pro/edit", { image_urls: [btoa("x")] }, "value_error", "image_urls"],
    ["fal-ai/flux-pro/kontext", {}, "missing", "image_url"],
  ];
  test.each(bad)("422 %s %o: %s", async (app, input, type, ...field) => {
    const before = double.billed;
    const { detail } = await resultOf(input, app, 422);
    expect(detail).toMatchObject([{ loc: ["body", ...field], type, msg: expect.any(String) }]);
    expect(double.billed).toBe(before);
  });
});
