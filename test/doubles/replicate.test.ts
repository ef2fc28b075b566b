/** The Replicate double against upstream-apis.md §4: one row per documented status and message. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { REFUSALS, REPLICATE_MODELS, replicateFault, startReplicate } from "./replicate.ts";

let skippedMs = 0;
const double = startReplicate({ secondMs: 10, now: () => Date.now() + skippedMs });
beforeEach(() => {
  double.progress = { polls: 0 };
});
afterAll(() => double.stop());

interface Prediction {
  id: string;
  status: string;
  output: string | string[] | null;
  error: string | null;
  started_at: string | null;
  completed_at: string | null;
  urls: { get: string; cancel: string; web: string };
  [key: string]: unknown;
}

const auth = { authorization: `Bearer ${double.key}` };
const schnell = "models/black-forest-labs/flux-schnell/predictions";

function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const all = { ...auth, "content-type": "application/json", ...headers };
  return fetch(`${double.url}/${path}`, { method: "POST", headers: all, body: JSON.stringify(body) });
}

function ask(
  input: Record<string, unknown> = {},
  headers: Record<string, string> = {},
  path = schnell,
): Promise<Response> {
  return post(path, { input: { prompt: "a fox", ...input } }, headers);
}

async function made(response: Response | Promise<Response>, status = 201): Promise<Prediction> {
  const answer = await response;
  expect(answer.status).toBe(status);
  return (await answer.json()) as Prediction;
}

async function bodyOf(response: Response | Promise<Response>, status: number): Promise<unknown> {
  return made(response, status);
}

function poll(prediction: Prediction): Promise<Prediction> {
  return made(fetch(prediction.urls.get, { headers: auth }), 200);
}

function cancel(prediction: Prediction): Promise<Prediction> {
  return made(fetch(prediction.urls.cancel, { method: "POST", headers: auth }), 200);
}

describe("predictions", () => {
  test("go from starting to processing to succeeded as they are polled, with all keys", async () => {
    double.progress = { polls: 3 };
    const created = await made(ask({ seed: 7 }));
    const keys = ["id", "model", "version", "input", "output", "error", "logs", "status", "source", "data_removed"];
    keys.push("created_at", "started_at", "completed_at", "metrics", "urls");
    expect(Object.keys(created).sort()).toEqual(keys.sort());
    expect(created).toMatchObject({
      model: "black-forest-labs/flux-schnell",
      version: "hidden",
      input: { prompt: "a fox", seed: 7 },
      output: null,
      error: null,
      status: "starting",
      source: "api",
      data_removed: false,
      started_at: null,
      completed_at: null,
    });
    expect(created.urls.get).toBe(`${double.url}/predictions/${created.id}`);
    expect(created.urls.cancel).toBe(`${created.urls.get}/cancel`);
    expect(created.urls.web).toBe(`https://replicate.com/p/${created.id}`);
    const before = double.billed;
    expect([(await poll(created)).status, (await poll(created)).status]).toEqual(["processing", "processing"]);
    expect(double.billed - before).toBe(0);
    const done = await poll(created);
    expect(done).toMatchObject({
      status: "succeeded",
      metrics: { predict_time: expect.any(Number), total_time: expect.any(Number) },
    });
    expect(double.billed - before).toBe(1);
    expect((await poll(created)).output).toEqual(done.output);
  });

  test("or by the clock, whether or not anybody asks", async () => {
    double.progress = { startMs: 1000, runMs: 1000 };
    const before = double.billed;
    const created = await made(ask({ num_outputs: 2 }));
    skippedMs += 1000;
    expect(await poll(created)).toMatchObject({ status: "processing", output: null, started_at: expect.any(String) });
    skippedMs += 1000;
    expect(double.billed - before).toBe(2);
    expect(await poll(created)).toMatchObject({ status: "succeeded", metrics: { predict_time: 1, total_time: 2 } });
  });

  test("Prefer: wait answers 201 when done in time, 202 when not", async () => {
    double.progress = { startMs: 5, runMs: 30 };
    expect(await made(ask({}, { prefer: "wait" }))).toMatchObject({ status: "succeeded" });
    expect(await made(ask({}, { prefer: "wait=5" }))).toMatchObject({ status: "succeeded" });
    double.progress = { startMs: 5, runMs: 60_000 };
    expect(await made(ask({}, { prefer: "wait=1" }), 202)).toMatchObject({ status: "processing", output: null });
    double.progress = { startMs: 60_000, runMs: 1 };
    expect(await made(ask({}, { prefer: "wait=2" }), 202)).toMatchObject({ status: "starting" });
  });

  test("Prefer: wait is 60 s, and 99 is clamped to it; 0 and other words are refused", async () => {
    double.progress = { startMs: 0, runMs: 60_000 };
    for (const prefer of ["wait", "wait=99"]) {
      const startedAt = performance.now();
      await made(ask({}, { prefer }), 202);
      const waitedMs = performance.now() - startedAt;
      expect(waitedMs).toBeGreaterThanOrEqual(60 * 10);
      expect(waitedMs).toBeLessThan(95 * 10);
    }
    for (const prefer of ["wait=0", "wait=100", "wait=1.5", "respond-async"]) {
      expect((await ask({}, { prefer })).status).toBe(422);
    }
  });

  test("Cancel-After: a deadline, aborted before the start, canceled and charged after it", async () => {
    const before = double.billed;
    double.progress = { startMs: 500, runMs: 60_000 };
    const early = await made(ask({}, { "cancel-after": "10s" }));
    expect(early.deadline).toBeString();
    const late = await made(ask({}, { "cancel-after": "1m" }));
    skippedMs += 10 * 10;
    expect(await poll(early)).toMatchObject({
      status: "aborted",
      output: null,
      started_at: null,
      completed_at: early.deadline,
    });
    expect(await poll(late)).toMatchObject({ status: "starting" });
    skippedMs += 50 * 10;
    expect(await poll(late)).toMatchObject({ status: "canceled", output: null, completed_at: late.deadline });
    expect(double.billed - before).toBe(1);
    expect((await made(ask({}, { "cancel-after": "1h30m45s" }))).deadline).toBeString();
    for (const malformed of ["4s", "soon", "5", "", "5s10m"]) {
      expect((await ask({}, { "cancel-after": malformed })).status).toBe(422);
    }
  });

  test("cancel: canceled, whenever; not charged before the start; what is over stays as it is", async () => {
    const before = double.billed;
    double.progress = { polls: 2 };
    const waiting = await made(ask());
    expect(await cancel(waiting)).toMatchObject({ status: "canceled", output: null });
    expect(double.billed - before).toBe(0);
    const running = await made(ask());
    await poll(running);
    expect((await cancel(running)).status).toBe("canceled");
    expect(double.billed - before).toBe(1);
    expect((await poll(running)).status).toBe("canceled");
    double.progress = { polls: 0 };
    const done = await made(ask());
    expect(await cancel(done)).toMatchObject({ status: "succeeded", output: done.output });
    expect(double.requestsAt("cancel").length).toBe(3);
  });

  test("by version: 64 hex, owner/name:hex, owner/name of an official model", async () => {
    const [model] = REPLICATE_MODELS;
    if (!model) throw new Error("no models");
    const input = { prompt: "a fox" };
    const version = async (name: string) => (await made(post("predictions", { version: name, input }))).version;
    expect(await version(model.version)).toBe(model.version);
    expect(await version(`${model.id}:${model.version}`)).toBe(model.version);
    expect(await version(model.id)).toBe("hidden");
  });
});

describe("output", () => {
  const cases = [
    ["flux-schnell", { num_outputs: 4 }, 4, "1024x1024 webp as image/webp"],
    [
      "flux-schnell",
      { aspect_ratio: "16:9", megapixels: "0.25", output_format: "jpg" },
      1,
      "672x384 jpeg as image/jpeg",
    ],
    ["flux-dev", { aspect_ratio: "9:21", guidance: 2.5, num_inference_steps: 50 }, 1, "640x1536 webp as image/webp"],
    ["flux-pro", { steps: 50, guidance: 2, output_format: "png" }, "string", "1024x1024 png as image/png"],
    ["flux-1.1-pro", { aspect_ratio: "custom", width: 1440, height: 256 }, "string", "1440x256 webp as image/webp"],
    ["flux-1.1-pro", { aspect_ratio: "3:2", width: 256, height: 256 }, "string", "1216x832 webp as image/webp"],
  ] as const;

  test.each(cases)("%s %j: %p, %s", async (name, input, shape, expected) => {
    const { output } = await made(ask(input, {}, `models/black-forest-labs/${name}/predictions`));
    expect(Array.isArray(output) ? output.length : typeof output).toBe(shape);
    for (const link of [output].flat()) {
      const response = await fetch(link ?? "");
      const { width, height, format } = await new Bun.Image(await response.bytes()).metadata();
      expect(`${width}x${height} ${format} as ${response.headers.get("content-type")}`).toBe(expected);
    }
  });

  test("is on another origin, needs no credentials, and notices those that come", async () => {
    const before = double.credentialsAtFiles.length;
    const link = [(await made(ask())).output].flat()[0] ?? "";
    expect(new URL(link).origin).toBe(double.fileOrigin);
    expect(double.fileOrigin).not.toBe(double.origin);
    expect((await fetch(link)).status).toBe(200);
    expect(double.credentialsAtFiles.length - before).toBe(0);
    await fetch(link, { headers: auth });
    expect(double.credentialsAtFiles.slice(before)).toEqual([auth.authorization]);
    const same = startReplicate({ fileOrigin: "same" });
    expect(same.fileOrigin).toBe(same.origin);
    await same.stop();
  });

  test("is gone after an hour, the data too", async () => {
    const done = await made(ask());
    const link = [done.output].flat()[0] ?? "";
    expect((await fetch(link)).status).toBe(200);
    skippedMs += 3_600_000;
    expect((await fetch(link)).status).toBe(404);
    expect(await poll(done)).toMatchObject({ status: "succeeded", output: null, data_removed: true });
    const early = await made(ask());
    double.expireLinks();
    expect(await poll(early)).toMatchObject({ output: null, data_removed: true });
  });

  test("flagged pictures are dropped; a model's failure is a 2xx", async () => {
    const before = double.billed;
    expect((await made(ask({ prompt: "[[drop:1]]", num_outputs: 3 }))).output).toHaveLength(2);
    expect(double.billed - before).toBe(2);
    const failures = [
      ["[[drop:1]]", REFUSALS.NSFW],
      ["[[fail:NSFW]]", "NSFW content detected. Try running it again, or try a different prompt."],
      ["[[fail:E005]]", "The input or output was flagged as sensitive. Please try again with different inputs. (E005)"],
      ["[[moderate]]", REFUSALS.E005],
      ["[[fail:CUDA out of memory]]", "CUDA out of memory"],
    ] as const;
    for (const [prompt, error] of failures) {
      expect(await made(ask({ prompt }))).toMatchObject({ status: "failed", output: null, error });
    }
    expect(double.billed - before).toBe(2);
  });
});

describe("refusals", () => {
  test("bodies word for word", async () => {
    expect(await bodyOf(ask({}, { authorization: "Bearer r8_wrong" }), 401)).toEqual({
      title: "Unauthenticated",
      detail: "You did not pass a valid authentication token",
      status: 401,
    });
    expect(await bodyOf(ask({ prompt: "[[402]]" }), 402)).toMatchObject({ title: "Insufficient credit", status: 402 });
    const throttled = await ask({ prompt: "[[429]]" });
    expect(throttled.headers.get("retry-after")).toBeNull();
    expect(await bodyOf(throttled, 429)).toEqual({
      detail: "Request was throttled. Your rate limit resets in ~30s.",
      status: 429,
      retry_after: 30,
    });
    expect(await bodyOf(ask({ prompt: "[[500]]" }), 500)).toMatchObject({ status: 500 });
    const notFound = { detail: "The requested resource could not be found.", status: 404 };
    expect(await bodyOf(fetch(`${double.url}/predictions/nope`, { headers: auth }), 404)).toEqual(notFound);
    expect(await bodyOf(ask({}, {}, "models/someone/community/predictions"), 404)).toEqual(notFound);
    expect(await bodyOf(fetch(`${double.url}/account`, { headers: auth }), 404)).toEqual(notFound);
    const version = await made(post("predictions", { version: "0".repeat(64), input: { prompt: "x" } }), 422);
    expect(version.detail).toEndWith("does not exist (or perhaps you don't have permission to use it?)");
    double.next(replicateFault("throttled"));
    expect((await ask()).status).toBe(429);
  });

  test("422 word for word", async () => {
    const pro = "models/black-forest-labs/flux-1.1-pro/predictions";
    const description = 'output_format must be one of the following: "webp", "jpg", "png"';
    expect(await bodyOf(ask({ output_format: "jpeg" }, {}, pro), 422)).toEqual({
      detail: `- input.output_format: ${description}\n`,
      status: 422,
      title: "Input validation failed",
      invalid_fields: [{ type: "enum", field: "input.output_format", description }],
    });
    expect(await bodyOf(post(schnell, { input: {} }), 422)).toMatchObject({
      invalid_fields: [{ type: "required", field: "input", description: "prompt is required" }],
    });
    expect(await bodyOf(post(schnell, { input: { prompt: "x" }, n: 1 }), 422)).toMatchObject({
      title: "Input validation failed",
      invalid_fields: [{ type: "additional_property_not_allowed" }],
    });
  });

  const bad: [model: string, input: Record<string, unknown>, type: string, field: string][] = [
    ["flux-schnell", { size: "1024x1024" }, "additional_property_not_allowed", "input"],
    ["flux-schnell", { n: 1 }, "additional_property_not_allowed", "input"],
    ["flux-schnell", { guidance: 3 }, "additional_property_not_allowed", "input"],
    ["flux-schnell", { num_outputs: 5 }, "number_lte", "input.num_outputs"],
    ["flux-schnell", { num_outputs: 0 }, "number_gte", "input.num_outputs"],
    ["flux-schnell", { num_outputs: "1" }, "invalid_type", "input.num_outputs"],
    ["flux-schnell", { num_outputs: 1.5 }, "invalid_type", "input.num_outputs"],
    ["flux-schnell", { seed: null }, "invalid_type", "input.seed"],
    ["flux-schnell", { prompt: 5 }, "invalid_type", "input.prompt"],
    ["flux-schnell", { num_inference_steps: 5 }, "number_lte", "input.num_inference_steps"],
    ["flux-schnell", { megapixels: "2" }, "enum", "input.megapixels"],
    ["flux-schnell", { output_quality: 101 }, "number_lte", "input.output_quality"],
    ["flux-schnell", { aspect_ratio: "custom" }, "enum", "input.aspect_ratio"],
    ["flux-dev", { num_inference_steps: 51 }, "number_lte", "input.num_inference_steps"],
    ["flux-pro", { num_outputs: 1 }, "additional_property_not_allowed", "input"],
    ["flux-pro", { guidance: 6 }, "number_lte", "input.guidance"],
    ["flux-1.1-pro", { guidance: 3 }, "additional_property_not_allowed", "input"],
    ["flux-1.1-pro", { safety_tolerance: 7 }, "number_lte", "input.safety_tolerance"],
    ["flux-1.1-pro", { aspect_ratio: "custom", width: 1000 }, "multiple_of", "input.width"],
    ["flux-1.1-pro", { aspect_ratio: "custom", height: 1472 }, "number_lte", "input.height"],
  ];

  test.each(bad)("422 %s %j: %s", async (model, input, type, field) => {
    const before = { billed: double.billed, made: double.predictionIds.length };
    const body = await made(ask(input, {}, `models/black-forest-labs/${model}/predictions`), 422);
    expect(body.invalid_fields).toMatchObject([{ type, field }]);
    expect(body.detail).toStartWith(`- ${field}: `);
    expect({ billed: double.billed, made: double.predictionIds.length }).toEqual(before);
  });

  test("422 no input, no version, version where none belongs; webhooks are loudly not there", async () => {
    expect((await post(schnell, {})).status).toBe(422);
    expect((await post("predictions", { input: { prompt: "x" } })).status).toBe(422);
    expect((await post(schnell, { version: "x", input: { prompt: "x" } })).status).toBe(422);
    expect((await post(schnell, { webhook: "https://a.example", input: { prompt: "x" } })).status).toBe(501);
  });

  test("faults can be told for polls", async () => {
    double.progress = { polls: 2 };
    const created = await made(ask());
    double.next({ kind: "htmlBadGateway" }, { on: "poll", times: 2 });
    expect((await fetch(created.urls.get, { headers: auth })).status).toBe(502);
    expect((await fetch(created.urls.get, { headers: auth })).status).toBe(502);
    expect((await poll(created)).status).toBe("processing");
    expect((await poll(created)).status).toBe("succeeded");
  });
});
