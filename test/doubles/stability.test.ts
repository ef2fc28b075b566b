/** The Stability double against upstream-apis.md §3: one row per documented status and message. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { type PictureType, picture } from "./picture.ts";
import { pictureFacts } from "./selfhosted-inputs.ts";
import { stabilityFault, startStability } from "./stability.ts";
import type { Endpoint } from "./stability-rules.ts";

let now = Date.parse("2026-11-22T12:00:00Z");
const double = startStability({ now: () => now, credits: 5000 });
afterEach(() => double.clear());
afterAll(() => double.stop());

type Field = string | Blob;

function post(endpoint: string, body: FormData | string, headers: Record<string, string> = {}): Promise<Response> {
  const url = `${double.url}/v2beta/stable-image/generate/${endpoint}`;
  return fetch(url, { method: "POST", headers: { authorization: `Bearer ${double.key}`, ...headers }, body });
}

function ask(endpoint: string, fields: Record<string, Field>, headers: Record<string, string> = {}): Promise<Response> {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return post(endpoint, form, headers);
}

async function errorOf(response: Response): Promise<{ status: number; id: string; name: string; errors: string[] }> {
  expect(response.headers.get("content-type")).toBe("application/json");
  const body = (await response.json()) as { id: string; name: string; errors: string[] };
  expect(Object.keys(body)).toEqual(["id", "name", "errors"]);
  return { status: response.status, ...body };
}

const fox = { prompt: "a fox" };

function file(width: number, height: number, type: PictureType = "png"): File {
  return new File([picture({ width, height, type }) as Uint8Array<ArrayBuffer>], `input.${type}`, {
    type: `image/${type}`,
  });
}

describe("success", () => {
  test("raw: bytes, content type, finish-reason and seed in headers", async () => {
    for (const accept of ["image/*", "*/*"]) {
      const response = await ask("ultra", { ...fox, seed: "343940597", output_format: "webp" }, { accept });
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe("image/webp");
      expect(response.headers.get("finish-reason")).toBe("SUCCESS");
      expect(response.headers.get("seed")).toBe("343940597");
      expect(response.headers.get("x-request-id")).not.toBeNull();
      expect(await new Bun.Image(await response.bytes()).metadata()).toEqual({
        width: 1024,
        height: 1024,
        format: "webp",
      });
    }
  });

  test("JSON: base64 under the odd content type, and no such headers", async () => {
    const response = await ask("sd3", { ...fox, seed: "343940597" }, { accept: "application/json" });
    expect(response.headers.get("content-type")).toBe("application/json; type=image/png");
    expect([response.headers.get("finish-reason"), response.headers.get("seed")]).toEqual([null, null]);
    const body = (await response.json()) as { image: string; finish_reason: string; seed: number };
    expect(body).toEqual({ image: expect.any(String), finish_reason: "SUCCESS", seed: 343940597 });
    const picture = await new Bun.Image(Uint8Array.fromBase64(body.image)).metadata();
    expect(picture).toEqual({ width: 1024, height: 1024, format: "png" });
  });

  test("seed 0 and no seed are random, and echoed", async () => {
    const seeds = await Promise.all(
      ["0", "0"].map(async (seed) => (await ask("core", { ...fox, seed })).headers.get("seed")),
    );
    expect(seeds[0]).not.toBe(seeds[1]);
    expect(seeds).not.toContain("0");
  });

  test("the picture follows aspect_ratio: one megapixel, one and a half from core", async () => {
    const megapixels = { ultra: 1, core: 1.5, sd3: 1 };
    for (const ratio of ["21:9", "16:9", "3:2", "5:4", "1:1", "4:5", "2:3", "9:16", "9:21"]) {
      for (const [endpoint, pixels] of Object.entries(megapixels)) {
        const response = await ask(endpoint, { ...fox, aspect_ratio: ratio });
        const { width, height } = await new Bun.Image(await response.bytes()).metadata();
        const [across = 1, down = 1] = ratio.split(":").map(Number);
        expect(Math.abs(Math.log(width / height / (across / down)))).toBeLessThan(0.06);
        expect(Math.abs(width * height - pixels * 1_048_576)).toBeLessThan(pixels * 80_000);
      }
    }
  });

  test("CONTENT_FILTERED is 200, another picture, and charged, in both modes", async () => {
    const before = { billed: double.billed, credits: double.credits };
    const clean = await (await ask("core", { ...fox, seed: "5" })).bytes();
    for (const word of ["[[filtered]]", "[[fail:E005]]"]) {
      const response = await ask("core", { prompt: word, seed: "5" });
      expect([response.status, response.headers.get("finish-reason")]).toEqual([200, "CONTENT_FILTERED"]);
      expect((await response.bytes()).toBase64()).not.toBe(clean.toBase64());
    }
    const json = await ask("core", { prompt: "[[filtered]]" }, { accept: "application/json" });
    expect(await json.json()).toMatchObject({ finish_reason: "CONTENT_FILTERED" });
    expect(double.billed - before.billed).toBe(4);
    expect(before.credits - double.credits).toBe(12);
  });

  const prices = [
    ["ultra", {}, 8],
    ["core", {}, 3],
    ["sd3", {}, 6.5],
    ["sd3", { model: "sd3.5-large-turbo" }, 4],
    ["sd3", { model: "sd3.5-large" }, 6.5],
    ["sd3", { model: "sd3.5-medium" }, 3.5],
    ["sd3", { model: "sd3.5-flash" }, 2.5],
    ["sd3", { model: "sd3-medium" }, 3.5],
    ["sd3", { model: "sd3-large" }, 6.5],
    ["sd3", { model: "sd3-large-turbo" }, 4],
  ] as const;

  test.each(prices)("%s %j takes %d credits from the balance", async (endpoint, fields, price) => {
    const balance = async () => {
      const headers = { authorization: `Bearer ${double.key}` };
      return ((await (await fetch(`${double.url}/v1/user/balance`, { headers })).json()) as { credits: number })
        .credits;
    };
    const before = await balance();
    expect((await ask(endpoint, { ...fox, ...fields })).status).toBe(200);
    expect(before - (await balance())).toBe(price);
  });

  const presets = [
    ...["enhance", "anime", "photographic", "digital-art", "comic-book", "fantasy-art", "line-art", "analog-film"],
    ...["neon-punk", "isometric", "low-poly", "origami", "modeling-compound", "cinematic", "3d-model", "pixel-art"],
    "tile-texture",
  ];

  test("all 17 style presets everywhere, cfg_scale at its bounds on sd3", async () => {
    for (const style_preset of presets) {
      for (const endpoint of ["ultra", "core", "sd3"]) {
        expect((await ask(endpoint, { ...fox, style_preset })).status).toBe(200);
      }
    }
    for (const cfg_scale of ["1", "4.5", "10"]) expect((await ask("sd3", { ...fox, cfg_scale })).status).toBe(200);
  });
});

describe("from an image", () => {
  const startings: [endpoint: Endpoint, fields: Record<string, Field>][] = [
    ["ultra", { strength: "0.5" }],
    ["sd3", { strength: "0", mode: "image-to-image" }],
    ["sd3", { strength: "1", mode: "image-to-image", model: "sd3.5-flash", style_preset: "anime", cfg_scale: "1" }],
  ];

  test.each(startings)("%s %j: one megapixel in its shape, the file kept for tests", async (endpoint, fields) => {
    const image = file(640, 320, "webp");
    const before = double.images.length;
    const response = await ask(endpoint, { ...fox, ...fields, image });
    expect(response.status).toBe(200);
    const { width = 0, height = 0, format } = await pictureFacts(await response.bytes());
    expect([width / height, Math.round((width * height) / 1e6), format]).toEqual([expect.closeTo(2, 1), 1, "png"]);
    expect(double.images.slice(before)).toEqual([
      {
        ...{ field: "image", name: "input.webp", contentType: "image/webp", bytes: await image.bytes() },
        ...{ width: 640, height: 320, format: "webp", endpoint, strength: Number(fields.strength) },
      },
    ]);
  });

  test("a ratio given to ultra holds", async () => {
    const response = await ask("ultra", { ...fox, image: file(640, 320), strength: "0.5", aspect_ratio: "9:16" });
    expect(await pictureFacts(await response.bytes())).toMatchObject({ width: 768, height: 1344 });
  });

  test.each([
    ["no picture", new Blob(["…"], { type: "image/png" })],
    [
      "a picture of another type",
      new Blob([Buffer.from("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==", "base64")]),
    ],
    ["a side below 64", file(63, 640)],
  ])("400 %s", async (_name, image) => {
    const before = { billed: double.billed, images: double.images.length };
    const answer = await errorOf(await ask("ultra", { ...fox, image, strength: "0.5" }));
    expect(answer).toMatchObject({ status: 400, name: "bad_request", errors: [expect.stringMatching(/^image: /)] });
    expect({ billed: double.billed, images: double.images.length }).toEqual(before);
  });
});

describe("refusals", () => {
  const image = file(64, 64);
  const bad: [name: string, endpoint: string, fields: Record<string, Field>, error: string][] = [
    ["no prompt", "core", {}, "prompt: is required"],
    ["empty prompt", "core", { prompt: "" }, "prompt: "],
    ["prompt too long", "core", { prompt: "x".repeat(10_001) }, "prompt: "],
    ["negative_prompt too long", "core", { ...fox, negative_prompt: "x".repeat(10_001) }, "negative_prompt: "],
    ["prompt as a file", "core", { prompt: image }, "prompt: "],
    ["n", "core", { ...fox, n: "1" }, "n: "],
    ["size", "ultra", { ...fox, size: "1024x1024" }, "size: "],
    ["aspect_ratio", "core", { ...fox, aspect_ratio: "4:3" }, "aspect_ratio: "],
    ["output_format jpg", "core", { ...fox, output_format: "jpg" }, "output_format: "],
    ["style_preset", "core", { ...fox, style_preset: "vivid" }, "style_preset: "],
    ["seed above", "core", { ...fox, seed: "4294967295" }, "seed: "],
    ["seed below", "core", { ...fox, seed: "-1" }, "seed: "],
    ["seed a fraction", "core", { ...fox, seed: "1.5" }, "seed: "],
    ["core has no image", "core", { ...fox, image }, "image: "],
    ["core has no model", "core", { ...fox, model: "sd3.5-large" }, "model: "],
    ["ultra image without strength", "ultra", { ...fox, image }, "strength: "],
    ["ultra strength without image", "ultra", { ...fox, strength: "0.5" }, "image: "],
    ["strength above 1", "ultra", { ...fox, image, strength: "1.1" }, "strength: "],
    ["ultra has no cfg_scale", "ultra", { ...fox, cfg_scale: "4" }, "cfg_scale: "],
    ["cfg_scale below", "sd3", { ...fox, cfg_scale: "0.5" }, "cfg_scale: "],
    ["model", "sd3", { ...fox, model: "sd3-flash" }, "model: "],
    ["cfg_scale above", "sd3", { ...fox, cfg_scale: "10.5" }, "cfg_scale: "],
    ["core has no cfg_scale", "core", { ...fox, cfg_scale: "4" }, "cfg_scale: "],
    ["core has no strength", "core", { ...fox, strength: "1" }, "strength: "],
    ["ultra has no mode", "ultra", { ...fox, mode: "text-to-image" }, "mode: "],
    ["image without mode", "sd3", { ...fox, image, strength: "1" }, "image: "],
    ["image-to-image without strength", "sd3", { ...fox, mode: "image-to-image", image }, "strength: "],
    ["image as a text", "ultra", { ...fox, image: "x", strength: "1" }, "image: "],
    ["mode", "sd3", { ...fox, mode: "inpaint" }, "mode: "],
    ["image-to-image without image", "sd3", { ...fox, mode: "image-to-image" }, "image: "],
    [
      "aspect_ratio from an image",
      "sd3",
      { ...fox, mode: "image-to-image", image, strength: "1", aspect_ratio: "1:1" },
      "aspect_ratio: ",
    ],
  ];

  test.each(bad)("400 %s", async (_name, endpoint, fields, error) => {
    const before = double.billed;
    for (const accept of ["image/*", "application/json"]) {
      const answer = await errorOf(await ask(endpoint, fields, { accept }));
      expect(answer).toMatchObject({ status: 400, name: "bad_request" });
      expect(answer.errors.some((line) => line.startsWith(error))).toBe(true);
    }
    expect(double.billed).toBe(before);
  });

  test("400 a field sent twice, a body that is not multipart, another accept", async () => {
    const twice = new FormData();
    twice.append("prompt", "a");
    twice.append("prompt", "b");
    expect((await errorOf(await post("core", twice))).status).toBe(400);
    const json = { "content-type": "application/json" };
    expect((await errorOf(await post("core", JSON.stringify(fox), json))).errors).toEqual([
      "content-type: must be multipart/form-data",
    ]);
    expect((await errorOf(await ask("core", fox, { accept: "text/html" }))).status).toBe(400);
  });

  const words: [word: string, status: number, name: string, message: string][] = [
    [
      "402",
      402,
      "payment_required",
      "You lack sufficient credits to make this request. Please purchase more credits at https://platform.stability.ai/account/credits and try again.",
    ],
    [
      "moderate",
      403,
      "content_moderation",
      "Your request was flagged by our content moderation system, as a result your request was denied and you were not charged.",
    ],
    ["language", 422, "invalid_language", "English is the only supported language for this service."],
    ["500", 500, "internal_error", "An unexpected server error has occurred, please try again later."],
  ];

  test.each(words)("[[%s]] is %d %s", async (word, status, name, message) => {
    const before = double.billed;
    const answer = await errorOf(await ask("ultra", { prompt: `[[${word}]]` }, { accept: "application/json" }));
    expect(answer).toMatchObject({ status, name, errors: [message] });
    expect(double.billed).toBe(before);
  });

  test("422 public_figure, and errors as faults", async () => {
    expect(await errorOf(await ask("ultra", { prompt: "[[public_figure]]" }))).toMatchObject({
      status: 422,
      name: "public_figure",
    });
    double.next(stabilityFault("internal_error"));
    expect(await errorOf(await ask("core", fox))).toMatchObject({ status: 500, name: "internal_error" });
  });

  test("402 when the credits are really gone", async () => {
    const before = double.credits;
    double.credits = 7.9;
    expect((await errorOf(await ask("ultra", fox))).status).toBe(402);
    expect((await ask("core", fox)).status).toBe(200);
    expect(double.credits).toBeCloseTo(4.9);
    double.credits = before;
  });

  test("413 above 10 MiB", async () => {
    // What follows the end of a PNG is nobody's business.
    const padded = (bytes: number) => new Blob([file(64, 64), new Uint8Array(bytes - file(64, 64).size)]);
    const fields = (bytes: number) => ({ ...fox, strength: "0.5", image: padded(bytes) });
    expect(await errorOf(await ask("ultra", fields(10 * 1024 * 1024)))).toMatchObject({
      status: 413,
      name: "payload_too_large",
      errors: ["body: payloads cannot be larger than 10MiB in size"],
    });
    expect((await ask("ultra", fields(10 * 1024 * 1024 - 2000))).status).toBe(200);
  });

  test("401 for a bad key, on unknown paths too; v1 has a shape of its own; 404 with the right key", async () => {
    const bad = { authorization: "Bearer sk-wrong" };
    const unauthorized = {
      status: 401,
      name: "unauthorized",
      errors: ["authorization: invalid or missing header value"],
    };
    expect(await errorOf(await ask("core", fox, bad))).toMatchObject(unauthorized);
    expect(await errorOf(await ask("sd4", fox, bad))).toMatchObject(unauthorized);
    expect((await errorOf(await ask("sd4", fox))).status).toBe(404);
    const v1 = await fetch(`${double.url}/v1/user/balance`);
    expect(v1.status).toBe(401);
    expect(Object.keys((await v1.json()) as object)).toEqual(["id", "message", "name"]);
  });

  test("429 shuts the key out of everything for 60 s", async () => {
    expect(await errorOf(await ask("core", { prompt: "[[429]]" }))).toEqual({
      status: 429,
      id: "rate_limit_exceeded",
      name: "rate_limit_exceeded",
      errors: [
        "You have exceeded the rate limit of 150 requests within a 10 second period, and have been timed out for 60 seconds.",
      ],
    });
    now += 59_999;
    const shut = await ask("core", fox);
    expect([shut.status, shut.headers.get("retry-after")]).toEqual([429, null]);
    now += 1;
    expect((await ask("core", fox)).status).toBe(200);
  });

  test("429 comes of itself with the 151st request in 10 s", async () => {
    const answers = await Promise.all(Array.from({ length: 151 }, () => ask("core", fox)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(150);
    expect((await ask("core", fox)).status).toBe(429);
    now += 60_000;
    expect((await ask("core", fox)).status).toBe(200);
  });
});
