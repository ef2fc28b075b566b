/** The sandbox's own wire: edits, event streams with previews, every format and size. Routing to it is tested elsewhere. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { InlineImage, type ProviderJob, type StreamStep } from "../../src/providers/provider.ts";
import { newCanvas } from "../../src/providers/sandbox/canvas.ts";
import { encodeGif } from "../../src/providers/sandbox/gif.ts";
import { randomFrom } from "../../src/providers/sandbox/random.ts";
import { sandbox } from "../../src/providers/sandbox.ts";
import { at, pictureOf } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

interface Wanted {
  prompt?: string;
  parameters?: Record<string, unknown>;
  previews?: number;
  inputs?: string[];
}

function jobOf({ prompt = "a lighthouse", parameters = {}, previews, inputs }: Wanted): ProviderJob {
  return {
    operation: inputs === undefined ? "generate" : "edit",
    model: "openai/gpt-image-2",
    count: 1,
    parameters: {
      ...{ prompt, width: 128, height: 96, format: "png", seed: 0, style: "", position: 0, of: 1 },
      ...(inputs === undefined ? {} : { inputs }),
      ...parameters,
    },
    ...(previews === undefined ? {} : { stream: { partialImages: previews } }),
  };
}

async function ask(wanted: Wanted, signal?: AbortSignal): Promise<Response> {
  const { body } = sandbox.submit(jobOf(wanted), { baseUrl: "http://sandbox.invalid" });
  if (body?.kind !== "json" || sandbox.local === undefined) throw new Error("no JSON body");
  const init = { method: "POST", body: JSON.stringify(body.value), ...(signal === undefined ? {} : { signal }) };
  return sandbox.local(new Request("http://sandbox.invalid/draw", init));
}

async function draw(wanted: Wanted): Promise<Uint8Array> {
  const response = await ask(wanted);
  expect(response.status).toBe(200);
  return response.bytes();
}

/** An event as it stands on the wire, its picture decoded, and what the adapter makes of it. */
interface Heard {
  name: string;
  atMs: number;
  picture: Uint8Array | undefined;
  step: StreamStep;
}

async function* listen(wanted: Wanted, signal?: AbortSignal): AsyncGenerator<Heard> {
  const response = await ask(wanted, signal);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  const begun = performance.now();
  let waiting = "";
  for await (const chunk of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    waiting += chunk;
    for (let end = waiting.indexOf("\n\n"); end >= 0; end = waiting.indexOf("\n\n")) {
      const [, name = "", json = ""] = /^event: (\w+)\ndata: ([^\n]+)$/.exec(waiting.slice(0, end)) ?? [];
      waiting = waiting.slice(end + 2);
      const data = JSON.parse(json) as { picture?: string };
      const picture = data.picture === undefined ? undefined : Uint8Array.fromBase64(data.picture);
      const handled = picture === undefined ? data : { ...data, picture: new InlineImage(7) };
      const headers = Object.fromEntries(response.headers);
      const step = sandbox.readEvent?.({ name, data: handled, headers }, jobOf(wanted));
      if (step === undefined) throw new Error("the sandbox reads no events");
      yield { name, atMs: performance.now() - begun, picture, step };
    }
  }
  expect(waiting).toBe("");
}

const heard = (wanted: Wanted) => Array.fromAsync(listen(wanted));
const kindsOf = (events: Heard[]) => events.map(({ step }) => step.kind);

describe("edits", () => {
  test("the same pictures and words make the same picture; another picture, order or number of them another", async () => {
    const [one, two] = ["1f".repeat(32), "2e".repeat(32)];
    const first = await draw({ inputs: [one] });
    expect(await draw({ inputs: [one] })).toEqual(first);
    const others = [
      { inputs: [two] },
      { inputs: [one, two] },
      { inputs: [two, one] },
      { inputs: [one], prompt: "x" },
      {},
    ];
    const seen = new Set([first.toHex()]);
    for (const other of others) seen.add((await draw(other)).toHex());
    expect(seen.size).toBe(1 + others.length);
  });
});

describe("event streams", () => {
  for (const format of ["png", "jpeg", "webp"]) {
    test(`three previews in ${format} become finer, and the last event is the picture that a plain call gives`, async () => {
      const wanted = { parameters: { format, width: 512, height: 384 } };
      const events = await heard({ ...wanted, previews: 3 });
      expect(events.map(({ name }) => name)).toEqual(["preview", "preview", "preview", "completed"]);
      expect(kindsOf(events)).toEqual(["partial", "partial", "partial", "done"]);
      for (const [index, { step, picture }] of events.entries()) {
        expect(await pictureOf(picture ?? new Uint8Array())).toBe(`512x384 ${format}`);
        if (step.kind !== "partial") continue;
        expect(step).toMatchObject({ index, image: new InlineImage(7) });
        expect(step.facts).toEqual({ size: "512x384", output_format: format });
      }
      const last = at(events, 3);
      expect(last.step).toMatchObject({ images: [{ source: new InlineImage(7) }], upstreamId: expect.any(String) });
      expect(last.picture).toEqual(await draw(wanted));
      const distances: number[] = [];
      for (const { picture } of events.slice(0, 3)) distances.push(await distance(picture, last.picture));
      expect(distances).toEqual(distances.toSorted((a, b) => b - a));
      expect(at(distances, 2)).toBeGreaterThan(0);
    });
  }

  test("without previews there is only the picture", async () => {
    expect(kindsOf(await heard({ previews: 0 }))).toEqual(["done"]);
    expect(kindsOf(await heard({ previews: 2, parameters: { format: "svg" } }))).toEqual(["done"]);
  });

  test("edits stream as well", async () => {
    const wanted = { inputs: ["ab".repeat(32)] };
    const events = await heard({ ...wanted, previews: 1 });
    expect(kindsOf(events)).toEqual(["partial", "done"]);
    expect(at(events, 1).picture).toEqual(await draw(wanted));
  });

  test("an event that is none of the sandbox's is loud", () => {
    const event = { name: "surprise", data: {}, headers: {} };
    expect(sandbox.readEvent?.(event, jobOf({}))).toMatchObject({ failure: { class: "contract_changed" } });
    const empty = { name: "preview", data: { index: 0 }, headers: {} };
    expect(sandbox.readEvent?.(empty, jobOf({}))).toMatchObject({ failure: { class: "contract_changed" } });
  });

  describe("tokens", () => {
    test("[[refuse]] and [[rate_limit]] are answers before any event", async () => {
      const refused = await ask({ prompt: "a [[refuse]]", previews: 3 });
      expect([refused.status, ((await refused.json()) as { error: string }).error]).toEqual([400, "refused"]);
      const limited = await ask({ prompt: "a [[rate_limit]]", previews: 3 });
      expect([limited.status, limited.headers.get("retry-after")]).toEqual([429, "1"]);
    });

    test("[[error]] comes after a preview; without previews it is an answer", async () => {
      const events = await heard({ prompt: "a [[error]]", previews: 2 });
      expect(kindsOf(events)).toEqual(["partial", "failed"]);
      expect(at(events, 1).step).toMatchObject({ failure: { class: "upstream_error" } });
      for (const wanted of [{ previews: 0 }, { previews: 2, parameters: { format: "svg" } }]) {
        expect((await ask({ prompt: "a [[error]]", ...wanted })).status).toBe(500);
      }
    });

    test("[[short]] completes without a picture", async () => {
      const events = await heard({ prompt: "a [[short]]", previews: 1 });
      expect(kindsOf(events)).toEqual(["partial", "done"]);
      expect(at(events, 1).step).toMatchObject({ images: [] });
    });

    test("[[slow:SECONDS]] is spread over the events", async () => {
      const events = await heard({ prompt: "a [[slow:2]]", previews: 1 });
      expect(at(events, 0).atMs).toBeWithin(990, 1_990);
      expect(at(events, 1).atMs).toBeGreaterThan(1_990);
    });

    test("[[timeout]] never completes, and hanging up ends it", async () => {
      const caller = new AbortController();
      const events = listen({ prompt: "a [[timeout]]", previews: 1 }, caller.signal);
      expect((await events.next()).value?.step.kind).toBe("partial");
      const next = events.next().then(
        () => "an event",
        (error: unknown) => error,
      );
      expect(await Promise.race([next, Bun.sleep(300).then(() => "silence")])).toBe("silence");
      caller.abort(new Error("gone"));
      expect(await next).toMatchObject({ message: "gone" });
    });
  });
});

describe("formats", () => {
  test("a GIF has as many frames as asked, each as long as asked, for ever", async () => {
    const parameters = { format: "gif", frame_count: 5, frame_duration_ms: 120 };
    const bytes = await draw({ parameters });
    expect(await pictureOf(bytes)).toBe("128x96 gif");
    const { frames, delays, loops } = decodeGif(bytes);
    expect([frames.length, delays, loops]).toEqual([5, [12, 12, 12, 12, 12], 0]);
    // The bar at the foot grows to the right; what is above it stands still.
    const foot = (frame: Uint8Array) => frame.subarray(95 * 128, 96 * 128);
    const isBar = frames.map((frame) =>
      foot(frame).reduce((sum, colour) => sum + (colour === at([...foot(frame)]) ? 1 : 0), 0),
    );
    expect(isBar).toEqual(isBar.toSorted((a, b) => a - b));
    for (const frame of frames) expect(frame.subarray(0, 94 * 128)).toEqual(at(frames).subarray(0, 94 * 128));
  });

  test("a GIF shows the picture: what the runtime decodes of it is near the PNG, in large sizes as well", async () => {
    for (const size of [{}, { width: 1536, height: 1024 }]) {
      const gif = await draw({ parameters: { format: "gif", ...size } });
      expect(decodeGif(gif).frames).toHaveLength(9);
      const [same, another] = [await draw({ parameters: size }), await draw({ parameters: { ...size, seed: 5 } })];
      // Its few colours are mixed by dithering.
      expect(await distance(gif, same)).toBeLessThan((await distance(gif, another)) / 2);
    }
  });

  test("a GIF ends as it should, however many codes it takes", () => {
    const random = randomFrom("noise");
    // Noise of about as many pixels as there are codes of nine bits: the end falls on every side of the change to ten.
    for (let round = 0; round < 200; round++) {
      const width = 246 + (round % 20);
      const canvas = newCanvas(width, 1);
      for (let i = 0; i < canvas.pixels.length; i++) canvas.pixels[i] = random.below(6) * 51;
      const { frames } = decodeGif(encodeGif(canvas, { frames: 1, frameMs: 0 }));
      // Six steps a channel stand in the palette as they are.
      const steps = [...canvas.pixels].map((value) => value / 51);
      const expected = Array.from({ length: width }, (_, x) =>
        steps.slice(x * 3, x * 3 + 3).reduce((index, step) => index * 6 + step, 0),
      );
      expect([...at(frames)]).toEqual(expected);
    }
  });

  test("an SVG is the scene in shapes, with the words escaped and nothing that runs", async () => {
    const prompt = `<script>alert("1")</script> & 'mountains' \u0000 \ud800`;
    const response = await ask({ prompt, parameters: { format: "svg", width: 1536, height: 1024 } });
    expect(response.headers.get("content-type")).toBe("image/svg+xml");
    const text = await response.text();
    expect(text).toStartWith(
      '<svg xmlns="http://www.w3.org/2000/svg" width="1536" height="1024" viewBox="0 0 1536 1024">',
    );
    expect(text).toContain(
      "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &apos;mountains&apos; \uFFFD \uFFFD</text>",
    );
    const tags = new Set(text.match(/<\/?[a-zA-Z]+/g));
    expect([...tags].map((tag) => tag.replace(/\W/g, ""))).not.toContain("script");
    expect(text).toContain("openai/gpt-image-2");
    expect(text).toContain(">SANDBOX<");
    expect(text.length).toBeLessThan(20_000);
  });

  test("every size of the GPT models is drawn to the pixel, also several large ones at once", async () => {
    const sizes = ["1024x1024", "1536x1024", "2560x1440", "3840x2160", "2160x3840", "3840x1280", "1248x528"];
    const pictures = sizes.map(async (size) => {
      const [width = 0, height = 0] = size.split("x").map(Number);
      return pictureOf(await draw({ parameters: { width, height } }));
    });
    expect(await Promise.all(pictures)).toEqual(sizes.map((size) => `${size} png`));
  });
});

/** Mean difference of two pictures' samples, 0 to 255. */
async function distance(one: Uint8Array | undefined, other: Uint8Array | undefined): Promise<number> {
  const [a, b] = await Promise.all([one, other].map((bytes) => pixelsOf(bytes ?? new Uint8Array())));
  if (a === undefined || b === undefined || a.length !== b.length) throw new Error("not comparable");
  return a.reduce((sum, value, index) => sum + Math.abs(value - (b[index] ?? 0)), 0) / a.length;
}

async function pixelsOf(bytes: Uint8Array): Promise<Uint8Array> {
  const png = await new Bun.Image(bytes).png({ compressionLevel: 0 }).bytes();
  return unfiltered(png);
}

/** The samples of a PNG, whose rows may be filtered in five ways. */
function unfiltered(png: Uint8Array): Uint8Array {
  const view = new DataView(png.buffer, png.byteOffset);
  const [width, height, colourType] = [view.getUint32(16), view.getUint32(20), png[25]];
  const channels = colourType === 6 ? 4 : 3;
  const pieces: Uint8Array[] = [];
  for (let offset = 8; offset < png.length; ) {
    const length = view.getUint32(offset);
    const type = new TextDecoder().decode(png.subarray(offset + 4, offset + 8));
    if (type === "IDAT") pieces.push(png.subarray(offset + 8, offset + 8 + length));
    offset += length + 12;
  }
  const raw = Bun.inflateSync(Buffer.concat(pieces).subarray(2));
  const stride = width * channels;
  const samples = new Uint8Array(stride * height);
  const sample = (y: number, i: number) => (y < 0 || i < 0 ? 0 : (samples[y * stride + i] ?? 0));
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let i = 0; i < stride; i++) {
      const [left, up, corner] = [
        i < channels ? 0 : sample(y, i - channels),
        sample(y - 1, i),
        i < channels ? 0 : sample(y - 1, i - channels),
      ];
      const guess =
        filter === 1
          ? left
          : filter === 2
            ? up
            : filter === 3
              ? (left + up) >> 1
              : filter === 4
                ? paeth(left, up, corner)
                : 0;
      samples[y * stride + i] = (raw[y * (stride + 1) + 1 + i] ?? 0) + guess;
    }
  }
  if (channels === 3) return samples;
  return samples.filter((_, index) => index % 4 !== 3);
}

function paeth(left: number, up: number, corner: number): number {
  const [a, b, c] = [up - corner, left - corner, up + left - 2 * corner].map(Math.abs) as [number, number, number];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** A GIF by its specification: colour indexes of every whole frame, what was drawn before staying where nothing new is. */
function decodeGif(bytes: Uint8Array): { frames: Uint8Array[]; delays: number[]; loops: number | null } {
  const word = (offset: number) => (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
  expect(new TextDecoder().decode(bytes.subarray(0, 6))).toBe("GIF89a");
  const [width, height, flags] = [word(6), word(8), bytes[10] ?? 0];
  let at = 13 + (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  const [frames, delays] = [[] as Uint8Array[], [] as number[]];
  let loops: number | null = null;
  const shown = new Uint8Array(width * height);
  const readBlocks = (): Uint8Array => {
    const blocks: Uint8Array[] = [];
    for (let length = bytes[at++] ?? 0; length > 0; length = bytes[at++] ?? 0) {
      blocks.push(bytes.subarray(at, at + length));
      at += length;
    }
    return Buffer.concat(blocks);
  };
  for (;;) {
    const kind = bytes[at++];
    if (kind === 0x3b) break;
    if (kind === 0x21) {
      const label = bytes[at++];
      if (label === 0xf9) delays.push(word(at + 2));
      const block = readBlocks();
      if (label === 0xff && new TextDecoder().decode(block.subarray(0, 11)) === "NETSCAPE2.0")
        loops = (block[12] ?? 0) | ((block[13] ?? 0) << 8);
      continue;
    }
    if (kind !== 0x2c) throw new Error(`not a block of a GIF: ${kind} at ${at}`);
    const [left, top, columns, rows] = [word(at), word(at + 2), word(at + 4), word(at + 6)];
    at += 9;
    const minimum = bytes[at++] ?? 0;
    const indexes = inflateLzw(readBlocks(), minimum);
    expect(indexes.length).toBe(columns * rows);
    for (let y = 0; y < rows; y++) shown.set(indexes.slice(y * columns, (y + 1) * columns), (top + y) * width + left);
    frames.push(shown.slice());
  }
  expect(at).toBe(bytes.length);
  return { frames, delays, loops };
}

function inflateLzw(data: Uint8Array, minimum: number): number[] {
  const [clear, end] = [1 << minimum, (1 << minimum) + 1];
  const out: number[] = [];
  let table: number[][] = [];
  let size = minimum + 1;
  let before: number[] | null = null;
  let bit = 0;
  for (;;) {
    let code = 0;
    for (let i = 0; i < size; i++, bit++) code |= (((data[bit >> 3] ?? 0) >> (bit & 7)) & 1) << i;
    if (bit > data.length * 8) throw new Error("the data ends before its end code");
    if (code === end) return out;
    if (code === clear) {
      table = [];
      size = minimum + 1;
      before = null;
      continue;
    }
    const known: number[] | undefined = code < clear ? [code] : table[code - end - 1];
    if (known === undefined && before === null) throw new Error(`code ${code} before it is known`);
    const string: number[] = known ?? [...(before ?? []), at(before ?? [])];
    if (before !== null && table.length + end + 1 < 4096) table.push([...before, at(string)]);
    if (table.length + end + 1 === 1 << size && size < 12) size += 1;
    for (const index of string) out.push(index);
    before = string;
  }
}
