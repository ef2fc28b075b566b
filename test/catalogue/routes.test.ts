import { describe, expect, test } from "bun:test";
import { mapParameters } from "../../src/catalogue/index.ts";
import { type Body, check, dallE2, dallE3, flux, route, stableDiffusion } from "./support.ts";

const prompt = "a lighthouse";
const openAi = { prompt, response_format: "b64_json" };

describe("what is sent upstream", () => {
  test.each<[string, Body, Body]>([
    [dallE3, {}, { ...openAi, size: "1024x1024", quality: "standard" }],
    [
      dallE3,
      { size: "1024x1792", quality: "hd", style: "natural", user: "u", n: 1, response_format: "url" },
      { ...openAi, size: "1024x1792", quality: "hd", style: "natural", user: "u" },
    ],
    [dallE2, { quality: "standard", n: 10, user: "" }, { ...openAi, size: "1024x1024", user: "" }],
    [stableDiffusion, {}, { prompt, aspect_ratio: "1:1", output_format: "png" }],
    [stableDiffusion, { size: "1024x1024", user: "u" }, { prompt, aspect_ratio: "1:1", output_format: "png" }],
    [
      stableDiffusion,
      { aspect_ratio: "9:21", negative_prompt: "fog", seed: 7, output_format: "webp" },
      { prompt, aspect_ratio: "9:21", negative_prompt: "fog", seed: 7, output_format: "webp" },
    ],
    [flux, {}, { prompt, aspect_ratio: "1:1", output_format: "webp" }],
    [flux, { size: "1024x768" }, { prompt, aspect_ratio: "custom", width: 1024, height: 768, output_format: "webp" }],
    [flux, { output_format: "jpeg", user: "u" }, { prompt, aspect_ratio: "1:1", output_format: "jpg" }],
    [flux, { output_format: "jpg" }, { prompt, aspect_ratio: "1:1", output_format: "jpg" }],
    [
      flux,
      {
        aspect_ratio: "3:4",
        image_prompt: "https://example.com/a.png",
        steps: 30,
        guidance: 2.5,
        interval: 1,
        safety_tolerance: 6,
        prompt_upsampling: false,
        seed: 5,
        output_format: "png",
        output_quality: 0,
      },
      {
        prompt,
        aspect_ratio: "3:4",
        image_prompt: "https://example.com/a.png",
        steps: 30,
        guidance: 2.5,
        interval: 1,
        safety_tolerance: 6,
        prompt_upsampling: false,
        seed: 5,
        output_format: "png",
        output_quality: 0,
      },
    ],
  ])("%s %j", (id, extra, sent) => {
    expect(mapParameters(route(id), check(id, extra), 0)).toEqual(sent);
  });
});

describe("the seed of picture i", () => {
  const seeds = (id: string, seed: number) =>
    [0, 1, 9].map((offset) => mapParameters(route(id), check(id, { seed, n: 10 }), offset).seed);

  test("is seed + i", () => {
    expect(seeds(stableDiffusion, 7)).toEqual([7, 8, 16]);
    expect(seeds(flux, 0)).toEqual([0, 1, 9]);
    expect(seeds(flux, 2147483638)).toEqual([2147483638, 2147483639, 2147483647]);
  });

  test("stays 0 where 0 means random", () => {
    expect(seeds(stableDiffusion, 0)).toEqual([0, 0, 0]);
  });

  test("no other number is counted up", () => {
    const sent = mapParameters(route(flux), check(flux, { n: 3, steps: 20, guidance: 3, output_quality: 90 }), 2);
    expect([sent.steps, sent.guidance, sent.output_quality]).toEqual([20, 3, 90]);
    expect("seed" in sent).toBe(false);
  });
});
