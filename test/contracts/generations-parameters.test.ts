/** What each model takes, end to end: from the client's body over the router to a strict double of its provider. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { accepted, acceptedEverywhere } from "../catalogue/accepted.ts";
import { refused, refusedEverywhere } from "../catalogue/refused.ts";
import type { RecordedRequest } from "../doubles/double.ts";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  at,
  bytesOf,
  dallE2,
  dallE3,
  expectError,
  flux,
  imagesOf,
  type Json,
  pictureOf,
  seedModels,
  stableDiffusion,
  startUpstreams,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const upstreams = startUpstreams();
let router: HeldRouter;
beforeAll(async () => {
  router = await startHeldRouter({ env: upstreams.env });
});
afterEach(() => upstreams.clear());
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

const prompt = "a lighthouse, ein Leuchtturm, 一座燈塔 🗼";
const doubleOf = (model: string) =>
  model === flux ? upstreams.replicate : model === stableDiffusion ? upstreams.stability : upstreams.openai;

/** Bodies of the create calls that one request causes, and what was delivered. */
async function send(model: string, extra: Json): Promise<{ sent: Json[]; delivered: string[] }> {
  const double = doubleOf(model);
  const before = double.requestsAt("create").length;
  const { data } = await imagesOf(await router.generate({ model, prompt, ...extra }));
  const created = double.requestsAt("create").slice(before);
  const delivered = await Promise.all(data.map(async (image) => pictureOf(await bytesOf(image))));
  return { sent: created.map((request) => sentBy(request)), delivered };
}

const sentBy = ({ body }: RecordedRequest) => body as Json;

describe(dallE3, () => {
  const plain = { model: "dall-e-3", prompt, n: 1, response_format: "b64_json" };

  test("plain: the defaults that decide price and size are sent", async () => {
    const { sent, delivered } = await send(dallE3, {});
    expect(sent).toEqual([{ ...plain, size: "1024x1024", quality: "standard" }]);
    expect(delivered).toEqual(["1024x1024 png"]);
  });

  test("everything", async () => {
    const extra = { n: 1, size: "1792x1024", quality: "hd", style: "natural", user: "someone" };
    const { sent, delivered } = await send(dallE3, { ...extra, response_format: "url" });
    expect(sent).toEqual([{ ...plain, ...extra }]);
    expect(delivered).toEqual(["1792x1024 png"]);
  });

  test("null means omitted", async () => {
    const extra = { n: null, size: null, quality: null, style: null, user: null, response_format: null };
    expect((await send(dallE3, extra)).sent).toEqual([{ ...plain, size: "1024x1024", quality: "standard" }]);
  });

  test("prompts are counted in code points: 4,000 beyond the basic plane are fine, one more is not", async () => {
    const { sent } = await send(dallE3, { prompt: "🗼".repeat(4000) });
    expect(at(sent).prompt).toBe("🗼".repeat(4000));
    const response = await router.generate({ model: dallE3, prompt: "🗼".repeat(4001) });
    await expectError(response, "string_above_max_length", { param: "prompt", message: /4000.* 4001 / });
  });

  test("a bare id is OpenAI's", async () => {
    const response = await router.generate({ model: "dall-e-3", prompt });
    expect(response.status).toBe(200);
    expect(response.headers.get("x-arouter-model")).toBe(dallE3);
  });
});

describe(dallE2, () => {
  test("n in one call; quality 'standard' is accepted and not sent", async () => {
    const { sent, delivered } = await send(dallE2, { n: 10, size: "256x256", quality: "standard", user: "someone" });
    const plain = { model: "dall-e-2", prompt, response_format: "b64_json" };
    expect(sent).toEqual([{ ...plain, n: 10, size: "256x256", user: "someone" }]);
    expect(delivered).toEqual(Array(10).fill("256x256 png"));
  });
});

describe(stableDiffusion, () => {
  test("multipart with the vendor's ratio for the size; user is not sent", async () => {
    const extra = { size: "1024x1024", negative_prompt: "fog", seed: 7, output_format: "webp", user: "someone" };
    const { sent, delivered } = await send(stableDiffusion, extra);
    const expected = { model: "sd3.5-large", prompt, negative_prompt: "fog", seed: "7", output_format: "webp" };
    expect(sent).toEqual([{ ...expected, aspect_ratio: "1:1" }]);
    expect(delivered).toEqual(["1024x1024 webp"]);
  });

  test("aspect_ratio instead of a size", async () => {
    const { sent, delivered } = await send(stableDiffusion, { aspect_ratio: "16:9" });
    expect(at(sent).aspect_ratio).toBe("16:9");
    expect(delivered).toEqual(["1344x768 png"]);
  });

  test("n fans out, each picture with the next seed", async () => {
    const { sent } = await send(stableDiffusion, { n: 4, seed: 100 });
    expect(sent.map(({ seed }) => seed).sort()).toEqual(["100", "101", "102", "103"]);
  });
});

describe(flux, () => {
  test("a size travels as custom width and height; jpeg is jpg there", async () => {
    const { sent, delivered } = await send(flux, { size: "1440x256", output_format: "jpeg", seed: 5 });
    const size = { aspect_ratio: "custom", width: 1440, height: 256 };
    expect(sent).toEqual([{ input: { prompt, ...size, output_format: "jpg", seed: 5 } }]);
    expect(delivered).toEqual(["1440x256 jpeg"]);
  });

  test("aspect_ratio, and every other input of the vendor", async () => {
    const extra = {
      aspect_ratio: "9:16",
      image_prompt: "https://pictures.example/a.png",
      steps: 30,
      guidance: 2.5,
      interval: 1.5,
      safety_tolerance: 1,
      prompt_upsampling: true,
      output_format: "png",
      output_quality: 90,
    };
    const { sent } = await send(flux, { ...extra, user: "someone" });
    expect(sent).toEqual([{ input: { prompt, ...extra } }]);
  });

  test("n fans out to one prediction each", async () => {
    const { sent, delivered } = await send(flux, { n: 3, size: "256x256" });
    expect(sent).toHaveLength(3);
    expect(delivered).toEqual(Array(3).fill("256x256 webp"));
  });
});

describe("what the catalogue takes, its provider takes", () => {
  for (const model of seedModels) {
    test(model, async () => {
      for (const extra of [...(accepted[model] ?? []), ...acceptedEverywhere]) {
        // Streams are answered otherwise: streams.test.ts.
        if ("stream" in extra && extra.stream === true) continue;
        const response = await router.generate({ model, prompt, ...extra });
        const { data } = await imagesOf(response);
        expect(data, JSON.stringify(extra)).toHaveLength(typeof extra.n === "number" ? extra.n : 1);
        expect(response.headers.get("x-arouter-warnings")).toBeNull();
      }
    });
  }
});

describe("what the catalogue refuses is refused on the wire, and no provider hears of it", () => {
  // NaN and Infinity have no JSON; the catalogue's own tests cover them.
  const hasJson = (body: Json) =>
    !Object.values(body).some((value) => typeof value === "number" && !Number.isFinite(value));

  for (const model of seedModels) {
    test(model, async () => {
      const before = upstreams.all.map(({ requests }) => requests.length);
      const cases = [...(refused[model] ?? []), ...refusedEverywhere].filter(([extra]) => hasJson(extra));
      for (const [extra, refusal] of cases) {
        const body = await expectError(await router.generate({ model, prompt, ...extra }), refusal.code);
        expect(body.error).toMatchObject(refusal);
      }
      expect(cases.length).toBeGreaterThan(20);
      expect(upstreams.all.map(({ requests }) => requests.length)).toEqual(before);
    });
  }

  test("no model, no prompt, and the order of several defects", async () => {
    await expectError(await router.generate({ prompt }), "missing_required_parameter", { param: "model" });
    await expectError(await router.generate({ model: dallE3 }), "missing_required_parameter", { param: "prompt" });
    await expectError(await router.generate({ model: null, prompt }), "invalid_type", { param: "model" });
    await expectError(await router.generate({ model: "nothing", foo: 1 }), "model_not_found", { param: "model" });
    await expectError(await router.generate({ model: dallE3, foo: 1, n: 0 }), "unknown_parameter", { param: "foo" });
    await expectError(await router.generate({ model: dallE3, prompt: "", n: 0 }), "empty_string", { param: "prompt" });
    await expectError(await router.generate({ model: dallE3, prompt, n: 0, size: "x" }), "integer_below_min_value");
  });
});
