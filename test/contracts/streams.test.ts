/** `stream: true`: OpenAI's events for every model, whatever its provider can do (upstream-apis.md §2.5). */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { StartedGeneration } from "../../src/generation/generate.ts";
import { createPartials } from "../../src/generation/partials.ts";
import { beginEvents } from "../../src/http/event-stream.ts";
import type { Server } from "../../src/http/types.ts";
import { openAiStreamFault } from "../doubles/openai.ts";
import { picture } from "../doubles/picture.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { readEvents, type StreamEvent } from "./events.ts";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  at,
  dallE2,
  dallE3,
  expectError,
  type GenerationObject,
  type Json,
  jsonOf,
  pictureOf,
  stableDiffusion,
  startUpstreams,
  until,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const gpt = "openai/gpt-image-2";
const prompt = "a lighthouse";
const upstreams = startUpstreams();
const { openai } = upstreams;
let router: TestRouter;
beforeAll(async () => {
  router = await startRouter({ env: { ...upstreams.env, AROUTER_UPSTREAM_RETRIES: "0" } });
});
afterEach(() => {
  upstreams.clear();
  openai.eventDelayMs = 0;
  openai.latencyMs = 0;
});
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

const stream = (extra: Json = {}, options: Parameters<TestRouter["generate"]>[1] = {}) =>
  router.generate({ model: gpt, prompt, stream: true, size: "1024x1024", quality: "low", ...extra }, options);
const named = (events: StreamEvent[]) => events.flatMap(({ name }) => (name === "" ? [] : [name]));
const idOf = (response: Response) => response.headers.get("x-arouter-generation-id") ?? "";
const recordOf = async (id: string) => jsonOf<GenerationObject>(await router.get(`/v1/images/generations/${id}`));
const endOf = (id: string) =>
  until(async () => {
    const record = await recordOf(id);
    return record.finished === null ? undefined : record;
  });

const partialKeys = [
  "type",
  "b64_json",
  "created_at",
  "size",
  "quality",
  "background",
  "output_format",
  "partial_image_index",
];
const completedKeys = [...partialKeys.slice(0, -1), "usage", "arouter"];

describe("a model that streams", () => {
  test("previews as they come, then the picture, with the fields of the official types and the vendor's values", async () => {
    const response = await stream({ partial_images: 3, background: "opaque" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    expect(response.headers.get("x-arouter-model")).toBe(gpt);
    expect(response.headers.get("x-arouter-provider")).toBe("openai");
    expect(response.headers.has("x-arouter-cost-usd")).toBeFalse();
    const { events, text } = await readEvents(response);
    expect(text).toStartWith(`: generation ${idOf(response)}\n\n`);
    expect(text).not.toContain("[DONE]");
    expect(named(events)).toEqual([...Array(3).fill("image_generation.partial_image"), "image_generation.completed"]);
    const facts = { size: "1024x1024", quality: "low", background: "opaque", output_format: "png" };
    for (const [index, { name, data }] of events.slice(0, 3).entries()) {
      expect(Object.keys(data)).toEqual(partialKeys);
      expect(data).toMatchObject({ type: name, ...facts, partial_image_index: index });
      expect(await pictureOf(Uint8Array.fromBase64(String(data.b64_json)))).toBe("1024x1024 png");
    }
    const last = at(events, 3);
    expect(Object.keys(last.data)).toEqual(completedKeys);
    expect(last.data).toMatchObject({ type: last.name, ...facts });
    expect(last.data.usage).toEqual(openai.lastRequest?.usage as Json);
    const record = await endOf(idOf(response));
    expect(last.data.arouter).toEqual({
      generation_id: record.id,
      model: gpt,
      provider: "openai",
      cost_usd: record.cost_usd,
      warnings: [],
    });
    expect(record.cost_usd).toBeGreaterThan(0);
    expect(last.data.created_at).toBe(record.finished);
    // Every picture differs: what came last is what is kept.
    const kept = await fetch(String(at(record.data).url));
    expect((await kept.bytes()).toBase64()).toBe(String(last.data.b64_json));
  });

  test("the safety identifier that the vendor echoes is passed on", async () => {
    const { events } = await readEvents(await stream({ safety_identifier: "u-1" }));
    expect(at(events).data.safety_identifier).toBe("u-1");
    const plain = await router.generate({ model: gpt, prompt, quality: "low", safety_identifier: "u-1" });
    expect((await jsonOf<Json>(plain)).safety_identifier).toBe("u-1");
  });

  test("without previews asked for, the picture alone", async () => {
    for (const partial_images of [undefined, 0]) {
      const response = await stream(partial_images === undefined ? {} : { partial_images });
      // Also where the end is known before the answer begins.
      expect(response.headers.has("x-arouter-cost-usd")).toBeFalse();
      expect(response.headers.get("x-arouter-provider")).toBe("openai");
      expect(named((await readEvents(response)).events)).toEqual(["image_generation.completed"]);
    }
    expect(openai.lastRequest?.body).toMatchObject({ stream: true });
  });

  test("previews reach the client before the picture is there", async () => {
    openai.eventDelayMs = 300;
    const response = await stream({ partial_images: 2 });
    const { events } = await readEvents(response);
    const [first, , last] = events;
    expect((last?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThan(400);
  });

  test("a preview that is larger than a piece of base64 arrives whole", async () => {
    const bytes = picture({ width: 1024, height: 1024, seed: 77 });
    // Bytes after a PNG's end are no part of the drawing, but of the file.
    const large = new Uint8Array(700_001);
    large.set(bytes);
    large.fill(7, bytes.length);
    const base64 = large.toBase64();
    const fields = {
      b64_json: base64,
      created_at: 5,
      size: "1024x1024",
      quality: "high",
      background: "auto",
      output_format: "png",
    };
    const usage = {
      total_tokens: 3,
      input_tokens: 1,
      output_tokens: 2,
      input_tokens_details: { image_tokens: 0, text_tokens: 1 },
    };
    const type = "image_generation.partial_image";
    const done = "image_generation.completed";
    const body = [
      `event: ${type}\ndata: ${JSON.stringify({ type, ...fields, partial_image_index: 0 })}\n\n`,
      `event: ${done}\ndata: ${JSON.stringify({ type: done, ...fields, usage })}\n\n`,
    ].join("");
    openai.next({ kind: "answer", status: 200, body, headers: { "content-type": "text/event-stream" } });
    const { events } = await readEvents(await stream({ partial_images: 1 }));
    expect(events.map(({ data }) => data.b64_json === base64)).toEqual([true, true]);
    expect(at(events).data).toMatchObject({ created_at: 5, quality: "high" });
  });
});

describe("another candidate", () => {
  test("whose previews come is named in the headers", async () => {
    const second = "openai/gpt-image-2.5-flare";
    openai.eventDelayMs = 200;
    openai.next({ kind: "answer", status: 500, body: "{}" });
    const response = await stream({ models: [second], partial_images: 1 });
    expect(response.headers.get("x-arouter-model")).toBe(second);
    const { events } = await readEvents(response);
    expect(named(events)).toEqual(["image_generation.partial_image", "image_generation.completed"]);
    expect(at(events, 1).data.arouter).toMatchObject({ model: second });
  });
});

describe("a model that cannot stream", () => {
  test("one completed event: the real size and type, no tokens, and what the router knows", async () => {
    const cases = [
      [dallE2, "256x256", { size: "256x256" }],
      [stableDiffusion, "1024x1024", {}],
    ] as const;
    for (const [model, size, extra] of cases) {
      const response = await router.generate({ model, prompt, stream: true, ...extra });
      const { events } = await readEvents(response);
      expect(named(events)).toEqual(["image_generation.completed"]);
      const { data } = at(events);
      expect(Object.keys(data)).toEqual(completedKeys);
      expect(data).toMatchObject({
        size,
        quality: "auto",
        background: "auto",
        output_format: "png",
        usage: {
          total_tokens: 0,
          input_tokens: 0,
          output_tokens: 0,
          input_tokens_details: { image_tokens: 0, text_tokens: 0 },
        },
        arouter: { model },
      });
      expect(await pictureOf(Uint8Array.fromBase64(String(data.b64_json)))).toBe(`${size} png`);
    }
  });

  test("the prompt really used is told beside", async () => {
    const { events } = await readEvents(await router.generate({ model: dallE3, prompt, stream: true }));
    expect(at(events).data.arouter).toMatchObject({ revised_prompt: `${prompt}, in rich detail` });
  });
});

describe("failing", () => {
  test("before the first event: the proper HTTP error, nothing charged", async () => {
    const response = await stream({ prompt: "[[moderate]]", partial_images: 2 });
    expect(response.headers.get("x-arouter-cost-usd")).toBe("0");
    expect(idOf(response)).toMatch(/^gen-/);
    await expectError(response, "content_policy_violation");
    await expectError(await stream({ prompt: "[[500]]" }), "upstream_error");
  });

  test("after 200: an error event in the official form, and the stream ends", async () => {
    openai.eventDelayMs = 200;
    const response = await stream({ prompt: "[[fail:stream]]", partial_images: 2 });
    expect(response.status).toBe(200);
    const { events } = await readEvents(response);
    expect(named(events)).toEqual(["image_generation.partial_image", "error"]);
    const { data } = at(events, 1);
    expect(data).toEqual({
      type: "error",
      error: { message: expect.any(String), type: "server_error", param: null, code: "upstream_error" },
    });
    expect(await endOf(idOf(response))).toMatchObject({ status: "failed", cost_usd: 0 });
  });

  test("a stream that is cut before its picture is an unknown outcome and costs nothing", async () => {
    openai.next({ kind: "cut", afterEvents: 1 });
    const response = await stream({ partial_images: 2 });
    const { events } = await readEvents(response);
    expect(at(events, -1).data).toMatchObject({ type: "error", error: { code: "upstream_outcome_unknown" } });
    expect(await endOf(idOf(response))).toMatchObject({ status: "failed", cost_usd: 0, data: [] });
  });

  test("the vendor's own error event is a complete answer: nothing was made, nothing is charged", async () => {
    openai.eventDelayMs = 50;
    openai.next(openAiStreamFault(2));
    const { events } = await readEvents(await stream({ partial_images: 3 }));
    expect(named(events)).toEqual([...Array(2).fill("image_generation.partial_image"), "error"]);
    expect(at(events, 2).data).toMatchObject({ error: { code: "upstream_error" } });
  });

  test("a quick failure waits for no two seconds", async () => {
    const begun = performance.now();
    await stream({ prompt: "[[moderate]]" });
    expect(performance.now() - begun).toBeLessThan(1_500);
  });

  const refused: Array<[what: string, extra: Json, headers: Record<string, string>, param: string]> = [
    ["several pictures", { n: 2 }, {}, "n"],
    ["the picture itself", {}, { accept: "image/*" }, "stream"],
    ["an answer later", {}, { prefer: "respond-async" }, "stream"],
    ["four previews", { partial_images: 4 }, {}, "partial_images"],
    ["a text for a boolean", { stream: "yes" }, {}, "stream"],
  ];
  for (const [what, extra, headers, param] of refused) {
    test(`${what} and a stream: 400 on ${param}, nothing sent`, async () => {
      const before = openai.requestsAt("create").length;
      const response = await stream(extra, { headers });
      const code = what === "a text for a boolean" ? "invalid_type" : expect.any(String);
      const body = await jsonOf<{ error: Json }>(response);
      expect(response.status).toBe(400);
      expect(body.error).toMatchObject({ param, code });
      expect(openai.requestsAt("create").length).toBe(before);
    });
  }

  test("no previews, said aloud, are fine with a model that has none", async () => {
    for (const partial_images of [0, null]) {
      const response = await router.generate({ model: dallE2, prompt, stream: true, partial_images });
      expect(named((await readEvents(response)).events)).toEqual(["image_generation.completed"]);
    }
  });

  test("previews of a model that has none: 400 on partial_images", async () => {
    const response = await router.generate({ model: dallE2, prompt, stream: true, partial_images: 2 });
    expect(response.status).toBe(400);
    expect((await jsonOf<{ error: Json }>(response)).error.param).toBe("partial_images");
  });
});

describe("a client that leaves", () => {
  test("does not stop the job, and is charged for it", async () => {
    openai.eventDelayMs = 300;
    const leaving = new AbortController();
    const response = await fetch(`${router.url}/v1/images/generations`, {
      method: "POST",
      headers: { authorization: `Bearer ${router.keys.live}`, "content-type": "application/json" },
      body: JSON.stringify({ model: gpt, prompt, stream: true, partial_images: 2, size: "1024x1024", quality: "low" }),
      signal: leaving.signal,
    });
    await response.body?.getReader().read();
    leaving.abort();
    const record = await endOf(idOf(response));
    expect(record).toMatchObject({ status: "succeeded" });
    expect(record.cost_usd).toBeGreaterThan(0);
    expect(record.data).toHaveLength(1);
  });
});

describe("a client that has left before anything could be sent", () => {
  const finished = new Promise<never>(() => {});
  for (const when of ["already", "meanwhile"]) {
    test(`${when}: previews are not kept for it`, async () => {
      let kept = true;
      const partials = createPartials();
      const leave = () => {
        kept = false;
        partials.leave();
      };
      const leaving = new AbortController();
      if (when === "already") leaving.abort();
      const clock = { now: () => 0, sleep: async () => {} };
      const started = { id: "gen-x", partials: { ...partials, leave }, finished } as unknown as StartedGeneration;
      const events = beginEvents({ clock } as unknown as Server, started, leaving.signal);
      expect(await events.early).toBeNull();
      leaving.abort();
      expect(kept).toBeFalse();
    });
  }
});

describe("a repeat", () => {
  test("of a running or finished generation gives the completed event only, and pays nothing", async () => {
    openai.eventDelayMs = 300;
    const headers = { "idempotency-key": "stream-repeat" };
    const before = openai.requestsAt("create").length;
    const first = await stream({ partial_images: 2 }, { headers });
    const again = await stream({ partial_images: 2 }, { headers });
    const whole = await readEvents(first);
    const joined = await readEvents(again);
    const late = await readEvents(await stream({ partial_images: 2 }, { headers }));
    expect(named(whole.events)).toHaveLength(3);
    for (const { events } of [joined, late]) {
      expect(named(events)).toEqual(["image_generation.completed"]);
      expect(at(events).data.b64_json === at(whole.events, 2).data.b64_json).toBeTrue();
      expect(at(events).data.usage).toEqual(at(whole.events, 2).data.usage);
    }
    expect(again.headers.get("x-arouter-model")).toBe(gpt);
    expect(idOf(again)).toBe(idOf(first));
    expect(openai.requestsAt("create").length - before).toBe(1);
  });

  test("may ask for another view of the same job", async () => {
    const headers = { "idempotency-key": "stream-then-json" };
    const { events } = await readEvents(await stream({}, { headers }));
    const plain = await router.generate({ model: gpt, prompt, size: "1024x1024", quality: "low" }, { headers });
    const { data } = await jsonOf<{ data: Array<{ b64_json: string }> }>(plain);
    expect(at(data).b64_json === at(events).data.b64_json).toBeTrue();
  });
});

describe("in the sandbox", () => {
  test("previews and a picture, for free", async () => {
    const { events } = await readEvents(await stream({ partial_images: 2 }, { key: router.keys.test }));
    expect(named(events)).toEqual([...Array(2).fill("image_generation.partial_image"), "image_generation.completed"]);
    for (const [index, { data }] of events.slice(0, 2).entries()) {
      expect(Object.keys(data)).toEqual(partialKeys);
      expect(data.partial_image_index).toBe(index);
    }
    expect(at(events, 2).data.arouter).toMatchObject({ provider: "sandbox", cost_usd: 0 });
  });
});

describe("while nothing comes", () => {
  // Its waiting is cut short: ten seconds without an event pass in no time.
  let held: HeldRouter;
  beforeAll(async () => {
    held = await startHeldRouter({ env: upstreams.env });
  });
  afterAll(() => held.remove());

  test("the status is 200 after a while, and comments keep the connection alive", async () => {
    openai.latencyMs = 1_000;
    const response = await held.generate({ model: dallE2, prompt: "[[500]]", stream: true, size: "256x256" });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-arouter-model")).toBe(dallE2);
    const { events, text } = await readEvents(response);
    expect(text.split(": still running\n\n").length).toBeGreaterThan(3);
    expect(at(events, -1)).toMatchObject({ name: "error", data: { error: { code: "upstream_error" } } });
  });
});
