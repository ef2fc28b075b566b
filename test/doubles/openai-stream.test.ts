/** The event streams of the OpenAI double against upstream-apis.md §2.5, and what can go wrong with them. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import { postOpenAi, read } from "./asking.ts";
import type { Fault } from "./double.ts";
import { openAiStreamFault, startOpenAi } from "./openai.ts";
import { formOf, maskFile, pngFile, postEdit, type ReadEvent, readEvents } from "./openai-asking.ts";

const double = startOpenAi();
afterEach(() => {
  double.clear();
  Object.assign(double, { eventDelayMs: 0, doneMarker: false, finalFirst: false });
  double.partialsMade = Number.POSITIVE_INFINITY;
});
afterAll(() => double.stop());

const order = { model: "gpt-image-2", prompt: "a fox", stream: true, size: "1024x1024", quality: "low" } as const;
const ask = (fields: Record<string, unknown> = {}, more: RequestInit = {}) =>
  postOpenAi(double, { ...order, ...fields }, more);

async function eventsOf(response: Response): Promise<ReadEvent[]> {
  const events: ReadEvent[] = [];
  for await (const event of readEvents(response)) events.push(event);
  return events;
}

function pictureOf(event: ReadEvent | undefined): Uint8Array {
  const picture = typeof event?.data === "object" ? event.data.b64_json : undefined;
  return Uint8Array.fromBase64(String(picture));
}

const namesOf = (events: ReadEvent[]) => events.map(({ name }) => name);
const partial = "image_generation.partial_image";
const completed = "image_generation.completed";

/** The events that came whole, how the stream ended, and the pictures that were billed. */
async function outcome(fault: Fault, fields: Record<string, unknown> = { partial_images: 2 }) {
  const before = double.billed;
  double.next(fault);
  const events: ReadEvent[] = [];
  let error: unknown;
  try {
    for await (const event of readEvents(await ask(fields))) events.push(event);
  } catch (caught) {
    error = caught instanceof Error && "code" in caught ? caught.code : caught;
  }
  await double.idle();
  const { outcome: end, usage } = double.requestsAt("create").at(-1) ?? {};
  return { names: namesOf(events), error, billed: double.billed - before, end, usage };
}

describe("what is streamed", () => {
  test("partial images, then the completed event with usage; no [DONE]; billed once", async () => {
    const before = double.billed;
    const response = await ask({ partial_images: 3, user: "u1" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toStartWith("text/event-stream");
    expect(response.headers.get("content-length")).toBeNull();
    const events = await eventsOf(response);
    expect(namesOf(events)).toEqual([partial, partial, partial, completed]);
    const keys = ["type", "b64_json", "created_at", "background", "output_format", "quality", "size"];
    for (const [index, { name, data }] of events.entries()) {
      expect(data).toMatchObject({ type: name, size: "1024x1024", quality: "low", background: "opaque" });
      const more = index < 3 ? ["partial_image_index"] : ["usage", "safety_identifier"];
      expect(Object.keys(data)).toEqual([...keys, ...more]);
      expect(await new Bun.Image(pictureOf({ name, data })).metadata()).toEqual({
        width: 1024,
        height: 1024,
        format: "png",
      });
      if (index < 3) expect(data).toMatchObject({ partial_image_index: index });
    }
    const usage = { input_tokens: 8, output_tokens: 196 + 300, total_tokens: 504 };
    expect(events[3]?.data).toMatchObject({ usage, safety_identifier: "u1" });
    expect(double.billed - before).toBe(1);
    expect(double.lastRequest?.usage).toMatchObject(usage);
    expect(new Set(events.map(({ data }) => (data as { b64_json: string }).b64_json)).size).toBe(4);
  });

  test("without partial images there is one event", async () => {
    const [only, ...rest] = await eventsOf(await ask());
    expect(only).toMatchObject({ name: completed, data: { usage: { output_tokens: 196 } } });
    expect(rest).toEqual([]);
  });

  test("edits have names of their own, from either encoding", async () => {
    const names = ["image_edit.partial_image", "image_edit.completed"];
    const { model, prompt } = order;
    const form = formOf({ model, prompt, image: pngFile(), mask: maskFile(), stream: "true", partial_images: "1" });
    const events = await eventsOf(await postEdit(double, form));
    expect(namesOf(events)).toEqual(names);
    expect(events.map(({ data }) => (data as { type: string }).type)).toEqual(names);
    expect(events[1]?.data).toMatchObject({ usage: { input_tokens_details: { image_tokens: 194, text_tokens: 8 } } });
    const images = [{ file_id: "file-1" }];
    const json = await postEdit(double, { model, prompt, images, stream: true, partial_images: 1 });
    expect(namesOf(await eventsOf(json))).toEqual(names);
  });

  test("the official client reads generations and edits", async () => {
    const client = new OpenAI({ apiKey: double.key, baseURL: double.url, maxRetries: 0 });
    const types: string[] = [];
    for await (const event of await client.images.generate({ ...order, partial_images: 1 })) types.push(event.type);
    const { model, prompt } = order;
    for await (const event of await client.images.edit({ model, prompt, image: pngFile(), stream: true }))
      types.push(event.type);
    expect(types).toEqual([partial, completed, "image_edit.completed"]);
  });

  test("habits: [DONE], the final first, fewer partials than asked", async () => {
    double.doneMarker = true;
    expect(await eventsOf(await ask())).toMatchObject([{ name: completed }, { name: undefined, data: "[DONE]" }]);
    double.doneMarker = false;
    double.finalFirst = true;
    expect(namesOf(await eventsOf(await ask({ partial_images: 2 })))).toEqual([completed, partial, partial]);
    double.finalFirst = false;
    double.partialsMade = 1;
    const early = await eventsOf(await ask({ partial_images: 3 }));
    expect(namesOf(early)).toEqual([partial, completed]);
    expect(early[1]?.data).toMatchObject({ usage: { output_tokens: 296 } });
  });

  test("slow streams: headers at once, a pause before every event; billed with the completed one", async () => {
    double.eventDelayMs = 60;
    const before = double.billed;
    const startedAt = performance.now();
    const response = await ask({ partial_images: 1 });
    expect(performance.now() - startedAt).toBeLessThan(55);
    const seen: { atMs: number; billed: number }[] = [];
    for await (const _ of readEvents(response))
      seen.push({ atMs: performance.now() - startedAt, billed: double.billed - before });
    expect(seen.map(({ billed }) => billed)).toEqual([0, 1]);
    expect(seen[0]?.atMs).toBeGreaterThanOrEqual(55);
    expect(seen[1]?.atMs).toBeGreaterThanOrEqual(115);
  });
});

describe("what goes wrong", () => {
  const errorData = {
    type: "error",
    error: {
      type: "image_generation_server_error",
      code: "image_generation_failed",
      message: "Image generation failed",
      param: null,
    },
  };

  test("[[fail:stream]]: an error event after HTTP 200, not billed", async () => {
    const before = double.billed;
    const response = await ask({ prompt: "[[fail:stream]]", partial_images: 2 });
    expect(response.status).toBe(200);
    const events = await eventsOf(response);
    expect(events).toMatchObject([{ name: partial }, { name: "error", data: errorData }]);
    expect(namesOf(await eventsOf(await ask({ prompt: "[[fail:stream]]" })))).toEqual(["error"]);
    expect(double.billed).toBe(before);
    expect((await ask({ prompt: "[[fail:stream]]", stream: false })).status).toBe(500);
  });

  test("an error event as a fault, where it is told", async () => {
    const late = await outcome(openAiStreamFault(2));
    expect(late).toMatchObject({ names: [partial, partial, "error"], billed: 0, end: "answered" });
    expect(late.usage).toBeUndefined();
    double.next(openAiStreamFault(0));
    expect(await eventsOf(await ask())).toEqual([{ name: "error", data: errorData }]);
    const told: Fault = { kind: "errorEvent", event: "failure", data: { a: 1 }, billed: true };
    expect(await outcome(told)).toMatchObject({ names: ["failure"], billed: 1 });
  });

  test("refusals of the input come as 400, of the output as an error event", async () => {
    expect((await ask({ prompt: "[[moderate]]" })).status).toBe(400);
    const events = await eventsOf(await ask({ prompt: "[[fail:E005]]" }));
    expect(events).toMatchObject([{ name: "error", data: { error: { code: "moderation_blocked" } } }]);
  });

  test("cut after whole events: billed unless told, always once the completed event is out", async () => {
    const end = "cut";
    const error = "ECONNRESET";
    const cut = (afterEvents: number, billed?: boolean) =>
      outcome({ kind: "cut", afterEvents, ...(billed === undefined ? {} : { billed }) });
    expect(await cut(0)).toMatchObject({ names: [], error, billed: 1, end });
    expect(await cut(2)).toMatchObject({ names: [partial, partial], error, billed: 1, end });
    expect(await cut(2, false)).toMatchObject({ names: [partial, partial], error, billed: 0, usage: undefined });
    expect(await cut(3, false)).toMatchObject({ names: [partial, partial, completed], error, billed: 1 });
    expect(double.requestsAt("create").at(-1)?.usage).toBeDefined();
  });

  test("the faults of every answer work on streams too", async () => {
    expect(await outcome({ kind: "cut" })).toMatchObject({ names: [], error: "ECONNRESET", billed: 1 });
    const truncated = await outcome({ kind: "truncate" });
    expect(truncated).toMatchObject({ error: "ECONNRESET", billed: 1, end: "cut", usage: undefined });
    expect(truncated.names).not.toContain(completed);
    expect(await outcome({ kind: "malformed" })).toMatchObject({ names: [partial], error: undefined, billed: 1 });
    expect(await outcome({ kind: "htmlBadGateway" })).toMatchObject({ names: [], billed: 0 });
    expect(await outcome({ kind: "delay", ms: 5 })).toMatchObject({ names: [partial, partial, completed], billed: 1 });
    expect(await outcome({ kind: "emptyData" })).toMatchObject({
      names: [partial, partial],
      billed: 0,
      end: "answered",
    });
    double.next({ kind: "contentType", contentType: "application/json" });
    const renamed = await ask();
    expect(renamed.headers.get("content-type")).toBe("application/json");
    expect(namesOf(await eventsOf(renamed))).toEqual([completed]);
    double.next({ kind: "oversized", bytes: 2_000_000 });
    expect(await read(ask())).toEqual({ status: 200, bytes: 2_000_000 });
    double.next({ kind: "dimensions", width: 10, height: 20 });
    const [small] = await eventsOf(await ask());
    const bytes = pictureOf(small);
    expect(await new Bun.Image(bytes).metadata()).toMatchObject({ width: 10, height: 20 });
  });

  test("falls silent after events, until the client leaves", async () => {
    const before = double.billed;
    double.next({ kind: "hang", afterEvents: 1 });
    const leaving = new AbortController();
    const events = readEvents(await ask({ partial_images: 2 }, { signal: leaving.signal }));
    expect((await events.next()).value?.name).toBe(partial);
    const next = events.next().catch(() => "left");
    expect(await Promise.race([next, Bun.sleep(80).then(() => "nothing")])).toBe("nothing");
    leaving.abort();
    expect(await next).toBe("left");
    await double.idle();
    expect(double.requestsAt("create").at(-1)).toMatchObject({ outcome: "aborted", status: 200 });
    expect(double.billed - before).toBe(1);
  });

  test("a client that leaves in the middle is charged, once", async () => {
    const before = double.billed;
    double.eventDelayMs = 40;
    const leaving = new AbortController();
    const events = readEvents(await ask({ partial_images: 2 }, { signal: leaving.signal }));
    await events.next();
    leaving.abort();
    await double.idle();
    await Bun.sleep(150);
    expect(double.billed - before).toBe(1);
    expect(double.requestsAt("create").at(-1)?.usage).toBeUndefined();
  });

  test("a fault of a stream told for an answer that is none is loud", async () => {
    double.next({ kind: "cut", afterEvents: 1 });
    const { error: original } = console;
    const shouts: unknown[] = [];
    console.error = (...words: unknown[]) => shouts.push(words);
    expect((await read(ask({ stream: false }))).error).toBe("ECONNRESET");
    console.error = original;
    expect(String(shouts)).toContain("no event stream");
  });

  test("n > 1 is not streamed, and four partial images are too many", async () => {
    expect((await ask({ n: 2 })).status).toBe(400);
    expect((await ask({ partial_images: 4 })).status).toBe(400);
  });
});
