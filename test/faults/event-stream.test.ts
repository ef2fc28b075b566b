/** Event streams: any stream in any pieces, previews that are never stored, ends that are none, memory that stays flat. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { newId } from "../../src/ids.ts";
import { takeImage } from "../../src/images/intake.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { readEvents, type StreamedEvent } from "../../src/providers/event-stream.ts";
import { openai } from "../../src/providers/openai.ts";
import { type Adapter, InlineImage } from "../../src/providers/provider.ts";
import { type AttemptHooks, type PartialImage, runAttempt } from "../../src/providers/transport.ts";
import { openDiskStore } from "../../src/storage/disk.ts";
import { base64Of, picture } from "../doubles/picture.ts";
import { cleanup, rawUpstream } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(60_000);

afterEach(cleanup.run);

/** Yields the bytes in pieces of the given lengths, over and over; each piece is spoilt once the next is asked for. */
async function* pieces(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = Math.max(1, lengths[turn % lengths.length] ?? 1);
    const piece = bytes.slice(at, at + length);
    at += length;
    yield piece;
    piece.fill(0x0a);
  }
}

async function eventsOf(text: string, lengths: readonly number[] = [7], maxRestBytes = 1 << 20) {
  const pictures: { name: string; chunks: Buffer[] }[] = [];
  const events: StreamedEvent[] = [];
  const reading = readEvents(pieces(new TextEncoder().encode(text), lengths), {
    fields: ["b64_json"],
    firstIndex: 3,
    maxRestBytes,
    newImage(name) {
      const chunks: Buffer[] = [];
      pictures.push({ name, chunks });
      return { write: async (chunk) => void chunks.push(Buffer.from(chunk)) };
    },
  });
  for await (const event of reading) events.push(event);
  return { events, pictures: pictures.map(({ name, chunks }) => ({ name, text: Buffer.concat(chunks).toString() })) };
}

describe("the form of a stream", () => {
  const cases: [name: string, text: string, expected: StreamedEvent[]][] = [
    ["names and JSON", 'event: a\ndata: {"x":1}\n\nevent: b\ndata: [2]\n\n', [event("a", { x: 1 }), event("b", [2])]],
    ["no name", "data: 1\n\n", [event("", 1)]],
    ["CRLF", 'event: a\r\ndata: {"x":1}\r\n\r\ndata: 2\r\n\r\n', [event("a", { x: 1 }), event("", 2)]],
    ["CR alone", 'event: a\rdata: {"x":1}\r\rdata: 2\r\r', [event("a", { x: 1 }), event("", 2)]],
    ["CR, then LF as a line of its own", "data: 1\r\r\n\ndata: 2\n\r", [event("", 1), event("", 2)]],
    ["a byte order mark", "\ufeffdata: 1\n\n", [event("", 1)]],
    ["a byte order mark in the middle is none", "data: 1\n\n\ufeffdata: 2\n\n", [event("", 1)]],
    ["several lines of data", 'data: {"x":\ndata: 1\ndata:}\n\n', [event("", { x: 1 })]],
    ["lines of text", "data: a\ndata\ndata:  b\n\n", [event("", "a\n\n b")]],
    ["comments, ids and retries", ": ping\n:\nid: 7\nretry: 10\nnonsense\n: b\ndata: 1\n: c\n\n", [event("", 1)]],
    ["an event without data is none", "event: a\n\ndata: 1\n\n\n\n: x\n\n", [event("", 1)]],
    ["the name after the data, and the last of several", "event: x\ndata: 1\nevent: a\n\n", [event("a", 1)]],
    [
      "no space, and only one is taken",
      "event:a\ndata:1\n\nevent:  b\ndata:  [DONE]\n\n",
      [event("a", 1), event(" b", " [DONE]")],
    ],
    ["a field that only begins alike", "dat: 1\ndatum: 2\nEvent: x\ndata : 3\n\n", []],
    ["an end without the blank line", 'data: {"x":1}\n\ndata: {"x":2}', [event("", { x: 1 }), event("", { x: 2 })]],
    ["an end inside the data", 'data: {"x":1}\n\ndata: {"x":', [event("", { x: 1 })]],
    ["an end inside a picture", 'data: {"b64_json":"QUJD', []],
    ["nothing", "", []],
  ];
  function event(name: string, data: unknown): StreamedEvent {
    return { name, data };
  }
  test.each(cases)("%s, in pieces of every length", async (_name, text, expected) => {
    for (let length = 1; length <= text.length + 1; length += 1)
      expect((await eventsOf(text, [length])).events).toEqual(expected);
  });

  test("pictures are taken out, numbered through, with the name that came before them", async () => {
    const text =
      'event: a\ndata: {"b64_json":"b25l","i":0}\n\ndata: {"b64_json":"dHdv"}\nevent: b\n\nevent: c\ndata: {"b64_json":\r\ndata: "dGhyZWU="}\n\n';
    for (let length = 1; length <= text.length; length += 1) {
      const { events, pictures } = await eventsOf(text, [length]);
      expect(events).toEqual([
        event("a", { b64_json: new InlineImage(3), i: 0 }),
        event("b", { b64_json: new InlineImage(4) }),
        event("c", { b64_json: new InlineImage(5) }),
      ]);
      expect(pictures).toEqual([
        { name: "a", text: "one" },
        { name: "", text: "two" },
        { name: "c", text: "three" },
      ]);
    }
  });

  test("any stream, in any pieces", async () => {
    const line = fc.string({ unit: "binary" }).map((text) => text.replace(/[\r\n]/g, "").toWellFormed());
    const part = fc.record({
      name: fc.option(
        line.filter((text) => text.length < 40),
        { nil: undefined },
      ),
      data: fc.array(fc.oneof(line, fc.constant('{"a":[1,"b"]}')), { minLength: 1, maxLength: 3 }),
      comment: fc.option(line, { nil: undefined }),
      nameFirst: fc.boolean(),
    });
    const ends = fc.array(fc.constantFrom("\n", "\r\n", "\r"), { minLength: 1, maxLength: 5 });
    const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), ends, lengths, async (parts, lineEnds, sizes) => {
        const lines = parts.flatMap(({ name, data, comment, nameFirst }) => {
          const naming = name === undefined ? [] : [`event: ${name}`];
          const telling = data.map((text) => `data: ${text}`);
          const note = comment === undefined ? [] : [`:${comment}`];
          return [...note, ...(nameFirst ? [...naming, ...telling] : [...telling, ...naming]), ""];
        });
        // A CR whose next line is empty and ends in LF would be one line end.
        const style = lineEnds.includes("\r") && lineEnds.includes("\n") ? ["\r\n"] : lineEnds;
        const safe = style.includes("\r") ? ["\r"] : style;
        const text = lines.map((one, index) => one + safe[index % safe.length]).join("");
        const expected = parts.map(({ name, data }) => {
          const joined = data.join("\n");
          try {
            return { name: name ?? "", data: JSON.parse(joined) };
          } catch {
            return { name: name ?? "", data: joined };
          }
        });
        expect((await eventsOf(text, sizes)).events).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  test("what is not a picture is capped, for each event by itself", async () => {
    const text = `data: {"x":"${"y".repeat(90)}"}\n\n`.repeat(5);
    expect((await eventsOf(text, [13], 100)).events).toHaveLength(5);
    await expect(eventsOf(text, [13], 90)).rejects.toThrow("longer than any real one");
  });
});

const facts = { created_at: 1, size: "256x256", quality: "low", background: "opaque", output_format: "png" };
const final = picture({ width: 256, height: 256, seed: 9 });
const previews = [0, 1, 2].map((seed) => picture({ width: 256, height: 256, seed }));
const text = (name: string, data: object) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
const previewText = (index: number, more: object = {}) =>
  text("image_generation.partial_image", {
    type: "image_generation.partial_image",
    b64_json: base64Of(previews[index] as Uint8Array),
    ...facts,
    partial_image_index: index,
    ...more,
  });
const usage = { input_tokens: 14, output_tokens: 196, total_tokens: 210 };
const finalText = text("image_generation.completed", {
  type: "image_generation.completed",
  b64_json: base64Of(final),
  ...facts,
  usage,
});
/** The real protocol, once as it is and once with its event names told before. */
const eventPictures = {
  "image_generation.partial_image": "preview",
  "image_generation.completed": "final",
} as const;
const { eventPictures: _declared, ...undeclared } = openai;
const adapters: [name: string, adapter: Adapter][] = [
  ["names declared", { ...openai, eventPictures }],
  ["names not declared", undeclared],
];

/** A store on disk of its own, so that whatever is left behind can be seen. */
function disk() {
  const folder = mkdtempSync(join(tmpdir(), "arouter-events-"));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  const store = openDiskStore(folder);
  const begun: number[] = [];
  return {
    begun,
    files: () =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ name }) => name),
    bytesOf: async (id: string) => (await store.open(id))?.bytes(),
    newImage: (index: number) => {
      begun.push(index);
      return takeImage(store, newId("img", systemClock, systemRandom), 1 << 26);
    },
  };
}

interface Asked {
  adapter: Adapter;
  partialImages?: number;
  watched?: boolean;
  timeoutMs?: number;
}

async function attempt(origin: string, { adapter, partialImages = 3, watched = true, timeoutMs = 30_000 }: Asked) {
  const stored = disk();
  const partials: PartialImage[] = [];
  const hooks: AttemptHooks = { newImage: stored.newImage, onPending: () => Promise.reject(new Error("not pending")) };
  if (watched) hooks.onPartial = (partial) => void partials.push(partial);
  const outcome = await runAttempt(
    { adapter, baseUrl: `${origin}/v1`, trustedOrigin: origin, credential: "the-key-itself" },
    { operation: "generate", model: "gpt-image-2", parameters: { prompt: "x" }, count: 1, stream: { partialImages } },
    hooks,
    { fetch, resolve: async () => [], clock: systemClock },
    { timeoutMs },
  );
  return { outcome, partials, stored };
}

const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_1\r\n";
const streamHead = `${head}transfer-encoding: chunked\r\n\r\n`;
const chunk = (body: string) => `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n`;
const whole = (body: string) => (socket: Socket) => void socket.end(`${streamHead}${chunk(body)}0\r\n\r\n`);

describe.each(adapters)("a stream, %s", (_name, adapter) => {
  test("previews are handed on in memory, the final picture is stored, nothing else is", async () => {
    const body = [
      ": hello\n\n",
      previewText(0),
      previewText(1),
      text("image_generation.progress", { p: 1 }),
      previewText(2),
    ].join("");
    const upstream = rawUpstream(whole(body + finalText));
    const { outcome, partials, stored } = await attempt(upstream.origin, { adapter });
    expect(outcome).toMatchObject({ kind: "done", size: "256x256", usage, upstreamId: "req_1" });
    if (outcome.kind !== "done") return;
    expect(outcome.echoed).toEqual({ quality: "low", background: "opaque", output_format: "png" });
    expect(partials.map(({ index }) => index)).toEqual([0, 1, 2]);
    for (const [index, { bytes }] of partials.entries())
      expect(Buffer.from(bytes).equals(previews[index] as Uint8Array)).toBe(true);
    expect(partials[1]?.facts).toEqual(facts);
    expect(stored.files()).toEqual([outcome.images[0]?.id as string]);
    expect(Buffer.from((await stored.bytesOf(outcome.images[0]?.id ?? "")) ?? []).equals(final)).toBe(true);
    // Only one was ever begun, under the foreseeable first name.
    expect(stored.begun).toEqual([0]);
    expect(upstream.requests[0]).toContain('"stream":true');
    const { sentAt = 0, firstByteAt = 0 } = outcome.timings ?? {};
    expect(sentAt).toBeWithin(Date.now() - 30_000, Date.now() + 1);
    expect(firstByteAt).toBeGreaterThanOrEqual(sentAt);
  });

  test("nobody watches: previews are not kept, the picture is", async () => {
    const upstream = rawUpstream(whole(previewText(0) + previewText(1) + finalText));
    const { outcome, stored } = await attempt(upstream.origin, { adapter, watched: false });
    expect(outcome).toMatchObject({ kind: "done", images: [{ width: 256 }] });
    expect(stored.files()).toHaveLength(1);
  });

  test("no previews asked for, but sent: the picture counts", async () => {
    const upstream = rawUpstream(whole(previewText(0) + finalText));
    const { outcome, stored } = await attempt(upstream.origin, { adapter, partialImages: 0 });
    expect(outcome).toMatchObject({ kind: "done", images: [{ width: 256 }] });
    expect(stored.files()).toHaveLength(1);
  });

  test("the final event first: the rest is not read, the connection is closed", async () => {
    let closed = () => {};
    const wasClosed = new Promise<void>((resolve) => (closed = resolve));
    const upstream = rawUpstream((socket) => {
      socket.on("close", closed);
      socket.write(`${streamHead}${chunk(finalText)}`);
      // Previews without end: they would be read until the attempt's life is over.
      const timer = setInterval(() => socket.write(chunk(previewText(0))), 20);
      socket.on("close", () => clearInterval(timer));
    });
    const { outcome, partials, stored } = await attempt(upstream.origin, { adapter });
    expect(outcome).toMatchObject({ kind: "done", images: [{ width: 256 }] });
    await wasClosed;
    expect(partials.length).toBeLessThan(2);
    expect(stored.files()).toHaveLength(1);
  });

  const ends: [name: string, send: (socket: Socket) => unknown][] = [
    ["before any event", whole("")],
    ["after a preview", whole(previewText(0))],
    ["with [DONE] alone", whole(`${previewText(0)}data: [DONE]\n\n`)],
    ["inside the final picture", whole(finalText.slice(0, 200))],
    ["just before the final event's end", whole(finalText.slice(0, -4))],
    ["cut after a preview", (socket) => socket.end(streamHead + chunk(previewText(0)))],
    ["cut inside the final picture", (socket) => socket.end(streamHead + chunk(finalText.slice(0, 150)))],
    [
      "reset",
      (socket) =>
        socket.write(streamHead + chunk(previewText(0)), () => setTimeout(() => socket.resetAndDestroy(), 30)),
    ],
    ["cut in a body of known length", (socket) => socket.end(`${head}content-length: 90000\r\n\r\n${previewText(0)}`)],
  ];
  test.each(ends)("an end %s: a billable picture may exist", async (_when, send) => {
    const upstream = rawUpstream(send);
    const { outcome, stored } = await attempt(upstream.origin, { adapter });
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: "outcome_unknown" } });
    expect(stored.files()).toEqual([]);
    expect(upstream.requests).toHaveLength(1);
  });

  test("the final event without its blank line is whole all the same", async () => {
    const upstream = rawUpstream(whole(previewText(0) + finalText.trimEnd()));
    const { outcome } = await attempt(upstream.origin, { adapter });
    expect(outcome).toMatchObject({ kind: "done", images: [{ width: 256 }] });
  });

  test("an error event is that failure, and takes what has come with it", async () => {
    const error = {
      type: "image_generation_user_error",
      code: "moderation_blocked",
      message: "no the-key-itself",
      param: null,
    };
    const upstream = rawUpstream(whole(previewText(0) + text("error", { type: "error", error }) + finalText));
    const { outcome, partials, stored } = await attempt(upstream.origin, { adapter });
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: "refused" } });
    expect(JSON.stringify(outcome)).not.toContain("the-key-itself");
    expect(partials).toHaveLength(1);
    expect(stored.files()).toEqual([]);
  });

  test("silence ends with the attempt's life", async () => {
    const upstream = rawUpstream((socket) => socket.write(streamHead + chunk(previewText(0))));
    const { outcome, partials, stored } = await attempt(upstream.origin, { adapter, timeoutMs: 1_000 });
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: "timeout" } });
    expect(partials).toHaveLength(1);
    expect(stored.files()).toEqual([]);
  });

  test("a final event whose bytes are no picture is a changed contract", async () => {
    const bad = text("image_generation.completed", {
      type: "image_generation.completed",
      b64_json: "QUJDREVGR0hJSktMTU5P",
    });
    const { outcome, stored } = await attempt(rawUpstream(whole(bad)).origin, { adapter });
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: "contract_changed" } });
    expect(stored.files()).toEqual([]);
  });
});

describe("what tells a preview from the picture", () => {
  const nameless = (data: object) => `data: ${JSON.stringify(data)}\n\n`;
  test.each(adapters)("the document alone, after the picture: %s", async (_name, adapter) => {
    const preview = { b64_json: base64Of(final), partial_image_index: 0, type: "image_generation.partial_image" };
    const last = { b64_json: base64Of(final), ...facts, type: "image_generation.completed" };
    const upstream = rawUpstream(whole(nameless(preview) + nameless(last)));
    const { outcome, partials, stored } = await attempt(upstream.origin, { adapter });
    expect(outcome).toMatchObject({ kind: "done", images: [{ width: 256 }] });
    expect(partials).toEqual([{ bytes: Buffer.from(final), index: 0, facts: {} }]);
    expect(stored.begun).toEqual([0]);
    expect(stored.files()).toHaveLength(1);
  });

  test("a picture beyond the size of previews goes to its place before it is known", async () => {
    const large = Buffer.concat([final, Buffer.alloc(17 << 20, 7)]);
    const last = { b64_json: large.toString("base64"), type: "image_generation.completed" };
    const upstream = rawUpstream((socket) => socket.end(`${head}connection: close\r\n\r\n${nameless(last)}`));
    const { outcome, stored } = await attempt(upstream.origin, { adapter: undeclared });
    expect(outcome).toMatchObject({ kind: "done", images: [{ bytes: large.length }] });
    expect(stored.files()).toHaveLength(1);
  });

  test("a whole JSON answer to a request for a stream is read as ever", async () => {
    const body = JSON.stringify({ created: 1, data: [{ b64_json: base64Of(final) }] });
    const upstream = rawUpstream((socket) =>
      socket.end(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
    );
    const { outcome } = await attempt(upstream.origin, { adapter: openai });
    expect(outcome).toMatchObject({ kind: "done", images: [{ width: 256 }] });
  });

  test("a stream from a protocol that has none is no answer", async () => {
    const { readEvent: _, ...deaf } = undeclared;
    const { outcome, stored } = await attempt(rawUpstream(whole(finalText)).origin, { adapter: deaf });
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: "contract_changed" } });
    expect(stored.files()).toEqual([]);
  });
});
