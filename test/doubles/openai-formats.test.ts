/** gif and svg, the previews of GPT Image 2.6, against upstream-apis.md §2.2 and the vendor's client types. */
import { afterAll, describe, expect, test } from "bun:test";
import { inflateSync } from "node:zlib";
import { openAiErrorOf, postOpenAi } from "./asking.ts";
import { startOpenAi } from "./openai.ts";
import { fileOf, formOf, maskFile, pngFile, postEdit } from "./openai-asking.ts";
import { gifPicture } from "./openai-formats.ts";
import { picture } from "./picture.ts";

const double = startOpenAi();
afterAll(() => double.stop());

const ask = (fields: Record<string, unknown>) =>
  postOpenAi(double, { model: "gpt-image-2.6-flare", prompt: "a fox", size: "1024x1024", quality: "low", ...fields });

async function pictureOf(response: Response): Promise<Uint8Array> {
  expect(response.status).toBe(200);
  const { data } = (await response.json()) as { data: { b64_json: string }[] };
  return Uint8Array.fromBase64(data[0]?.b64_json ?? "");
}

/** The delay of every frame, in hundredths of a second. */
function delaysOf(gif: Uint8Array): number[] {
  const buffer = Buffer.from(gif);
  const found: number[] = [];
  const control = Buffer.from([0x21, 0xf9, 4, 0]);
  for (let at = buffer.indexOf(control); at >= 0; at = buffer.indexOf(control, at + 1))
    found.push(buffer.readUInt16LE(at + 4));
  return found;
}

/** The colour of a picture that is shrunk to one pixel. */
async function onlyColour(bytes: Uint8Array): Promise<number[]> {
  const png = Buffer.from(await new Bun.Image(bytes).resize(1, 1).png().bytes());
  const at = png.indexOf("IDAT");
  const data = png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4));
  return [...inflateSync(data).subarray(1, 4)];
}

describe("gif", () => {
  test.each([
    [1, 1],
    [7, 5],
    [1024, 1024],
    [1254, 1253],
    [3840, 2160],
  ])("%dx%d decodes to the last pixel", async (width, height) => {
    const gif = gifPicture({ width, height, frames: 2, frameDurationMs: 100, seed: 0x123456 });
    expect(await new Bun.Image(gif).metadata()).toMatchObject({ width, height, format: "gif" });
    // Pixels that are missing would give the one that stands for all another colour.
    expect(await onlyColour(gif)).toEqual([0x12, 0x34, 0x56]);
  });

  test("has the frames and the delay that were asked for", async () => {
    const usual = await pictureOf(await ask({ output_format: "gif" }));
    expect(delaysOf(usual)).toEqual(Array.from({ length: 9 }, () => 20));
    const asked = await pictureOf(await ask({ output_format: "gif", frame_count: 16, frame_duration_ms: 84 }));
    expect(delaysOf(asked)).toEqual(Array.from({ length: 16 }, () => 8));
    expect(double.lastRequest?.usage).toMatchObject({ output_tokens: 16 * 196 });
  });
});

describe("svg", () => {
  test("is drawn, and its author's tokens are reported beside the picture's", async () => {
    const svg = { model: "gpt-6", reasoning: { effort: "low" } };
    const response = await ask({ output_format: "svg", svg });
    const body = (await response.clone().json()) as Record<string, unknown>;
    expect(body).toMatchObject({ output_format: "svg", usage: { output_tokens: 196 }, svg_usage: { model: "gpt-6" } });
    const keys = ["model", "input_tokens", "output_tokens", "reasoning_tokens", "total_tokens"];
    expect(Object.keys(body.svg_usage as object)).toEqual(keys);
    expect(new TextDecoder().decode(await pictureOf(response))).toMatch(/^<svg [^>]*width="1024" height="1024"/);
    expect((await ask({ output_format: "svg", svg: null })).status).toBe(200);
    expect((await ask({ output_format: "svg", svg: { model: "gpt-6", reasoning: null } })).status).toBe(200);
  });

  test("an edit's multipart fields are nested", async () => {
    const fields = { model: "gpt-image-2.6-flare", prompt: "x", image: pngFile(), output_format: "svg" };
    const good = formOf({ ...fields, "svg[model]": "gpt-6", "svg[reasoning][effort]": "high" });
    expect(await (await postEdit(double, good)).json()).toMatchObject({ svg_usage: { model: "gpt-6" } });
    const bad = formOf({ ...fields, "svg[model]": "gpt-6", "svg[reasoning][effort]": "huge" });
    expect(await openAiErrorOf(await postEdit(double, bad))).toMatchObject({ param: "svg.reasoning.effort" });
  });
});

const refusals: [name: string, fields: Record<string, unknown>, param: string, code: string][] = [
  ["frames without gif", { frame_count: 4 }, "frame_count", "invalid_value"],
  ["a duration without gif", { frame_duration_ms: 100, output_format: "svg" }, "frame_duration_ms", "invalid_value"],
  ["svg without its format", { svg: { model: "gpt-6" } }, "svg", "invalid_value"],
  ["one frame", { output_format: "gif", frame_count: 1 }, "frame_count", "integer_below_min_value"],
  ["17 frames", { output_format: "gif", frame_count: 17 }, "frame_count", "integer_above_max_value"],
  ["gif as a stream", { output_format: "gif", stream: true }, "stream", "invalid_value"],
  ["gif with partial images", { output_format: "gif", partial_images: 1 }, "partial_images", "invalid_value"],
  ["compressed gif", { output_format: "gif", output_compression: 50 }, "output_compression", "invalid_value"],
  ["transparent gif", { output_format: "gif", background: "transparent" }, "background", "invalid_value"],
  ["two svgs", { output_format: "svg", n: 2 }, "n", "invalid_value"],
  ["svg as a stream", { output_format: "svg", stream: true }, "stream", "invalid_value"],
  ["svg without an author", { output_format: "svg", svg: {} }, "svg.model", "missing_required_parameter"],
  ["svg as a string", { output_format: "svg", svg: "x" }, "svg", "invalid_type"],
  [
    "an effort",
    { output_format: "svg", svg: { model: "a", reasoning: { effort: "x" } } },
    "svg.reasoning.effort",
    "invalid_value",
  ],
  ["complexity", { complexity: "huge" }, "complexity", "invalid_value"],
  ["svg on 2.5", { model: "gpt-image-2.5-flare", svg: { model: "a" } }, "svg", "unknown_parameter"],
  ["gif on 2.5", { model: "gpt-image-2.5-flare", output_format: "gif" }, "output_format", "invalid_value"],
];

test.each(refusals)("refused: %s", async (_, fields, param, code) => {
  expect(await openAiErrorOf(await ask(fields))).toMatchObject({ status: 400, param, code });
});

test("gif takes no mask", async () => {
  const fields = { model: "gpt-image-2.6-flare", prompt: "x", image: pngFile(), output_format: "gif" };
  expect(await openAiErrorOf(await postEdit(double, formOf({ ...fields, mask: maskFile() })))).toMatchObject({
    param: "mask",
  });
  const jpeg = fileOf(picture({ width: 8, height: 8, type: "jpeg" }), "a.jpg", "image/jpeg");
  expect((await postEdit(double, formOf({ ...fields, image: jpeg }))).status).toBe(200);
});

test("an account without the previews knows neither the formats nor their fields", async () => {
  double.previews = false;
  expect(await openAiErrorOf(await ask({ output_format: "gif" }))).toMatchObject({ code: "invalid_value" });
  expect(await openAiErrorOf(await ask({ frame_count: 4 }))).toMatchObject({ code: "unknown_parameter" });
  double.previews = true;
});
