import { describe, expect, test } from "bun:test";
import { cannotHonour, imagesPerCall, mapParameters } from "../../src/catalogue/index.ts";
import { InputFile } from "../../src/providers/input.ts";
import { type Body, check, dallE2, dallE3, edit, flux, model, picture, route, stableDiffusion } from "./support.ts";

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
    expect(mapParameters(route(id), check(id, extra), 0, 1)).toEqual(sent);
  });
});

const gpt2 = "openai/gpt-image-2";
const gpt25 = "openai/gpt-image-2.5-flare";
const gpt26 = "openai/gpt-image-2.6-flare";
const schnell = "black-forest-labs/flux-1-schnell";
const dev = "black-forest-labs/flux-1-dev";
const pro11 = "black-forest-labs/flux-1.1-pro";
const ultra = "black-forest-labs/flux-1.1-pro-ultra";
const kontext = "black-forest-labs/flux-1-kontext-pro";
const flux2 = "black-forest-labs/flux-2-pro";
const flex = "black-forest-labs/flux-2-flex";

describe("one model at several providers", () => {
  test.each<[string, string, Body, Body]>([
    [gpt2, "openai", { user: "u", response_format: "url", n: 2 }, { prompt, user: "u", output_format: "png" }],
    [gpt2, "azure", { size: "auto", quality: "low" }, { prompt, size: "auto", quality: "low", output_format: "png" }],
    // Streaming is the adapter's to say.
    [gpt2, "openai", { stream: true, partial_images: 2 }, { prompt, output_format: "png" }],
    [
      gpt26,
      "openai",
      { svg: { reasoning: { effort: "low" } }, output_format: "svg" },
      { prompt, svg: { reasoning: { effort: "low" } }, output_format: "svg" },
    ],
    [
      schnell,
      "replicate",
      { go_fast: false },
      { prompt, go_fast: false, aspect_ratio: "1:1", output_format: "jpg", num_outputs: 3 },
    ],
    [
      schnell,
      "fal",
      { aspect_ratio: "16:9", disable_safety_checker: true },
      {
        prompt,
        image_size: { width: 1024, height: 576 },
        output_format: "jpeg",
        enable_safety_checker: false,
        num_images: 3,
      },
    ],
    [
      schnell,
      "fal",
      { size: "512x768" },
      { prompt, image_size: { width: 512, height: 768 }, output_format: "jpeg", num_images: 3 },
    ],
    [
      pro11,
      "replicate",
      { size: "512x768" },
      { prompt, aspect_ratio: "custom", width: 512, height: 768, output_format: "jpg" },
    ],
    [
      pro11,
      "bfl",
      { safety_tolerance: 0 },
      { prompt, width: 1024, height: 1024, safety_tolerance: 0, output_format: "jpeg" },
    ],
    [
      pro11,
      "bfl",
      { output_format: "jpg", aspect_ratio: "3:2" },
      { prompt, width: 1248, height: 832, output_format: "jpeg" },
    ],
    [
      pro11,
      "fal",
      { safety_tolerance: 6 },
      {
        prompt,
        image_size: { width: 1024, height: 1024 },
        safety_tolerance: "6",
        output_format: "jpeg",
        num_images: 3,
      },
    ],
    [ultra, "bfl", { raw: true }, { prompt, raw: true, aspect_ratio: "1:1", output_format: "jpeg" }],
    [
      ultra,
      "fal",
      { image_prompt: "https://example.com/a.png" },
      { prompt, image_url: "https://example.com/a.png", aspect_ratio: "1:1", output_format: "jpeg", num_images: 3 },
    ],
    [flux2, "bfl", { aspect_ratio: "16:9" }, { prompt, width: 1280, height: 720, output_format: "jpeg" }],
    [
      flux2,
      "replicate",
      { resolution: "2 MP" },
      { prompt, resolution: "2 MP", aspect_ratio: "1:1", output_format: "jpg" },
    ],
    [
      flux2,
      "replicate",
      { size: "1024x768" },
      { prompt, aspect_ratio: "custom", width: 1024, height: 768, output_format: "jpg" },
    ],
    [
      "stability/stable-diffusion-3.5-medium",
      "stability",
      { cfg_scale: 7, style_preset: "anime" },
      { prompt, cfg_scale: 7, style_preset: "anime", aspect_ratio: "1:1", output_format: "png" },
    ],
    ["stability/stable-image-core", "stability", {}, { prompt, aspect_ratio: "1:1", output_format: "png" }],
  ])("%s at %s: %j", (id, provider, extra, sent) => {
    const checked = check(id, extra);
    expect(cannotHonour(route(id, provider), checked)).toBeNull();
    expect(mapParameters(route(id, provider), checked, 0, 3)).toEqual(sent);
  });

  test("the order of routes is the file's", () => {
    expect(model(pro11).routes.map(({ provider }) => provider)).toEqual(["replicate", "bfl", "fal"]);
  });
});

describe("the pictures of an edit", () => {
  const one = picture({ sha256: "01".repeat(32) });
  const two = picture({ sha256: "02".repeat(32) });
  const three = picture({ sha256: "03".repeat(32) });
  const file = (image: typeof one, form: "file" | "base64" | "data_url") => new InputFile(image, form);

  test.each<[string, string, ReturnType<typeof edit>, Body]>([
    [gpt2, "openai", edit([one]), { "image[]": [file(one, "file")], output_format: "png" }],
    [
      gpt2,
      "azure",
      edit([one, two], { mask: three }),
      { "image[]": [file(one, "file"), file(two, "file")], mask: file(three, "file"), output_format: "png" },
    ],
    [
      gpt25,
      "openai",
      edit([one], { markup: two }),
      { "image[]": [file(one, "file")], markup: file(two, "file"), output_format: "png" },
    ],
    [dev, "replicate", edit([one]), { image: file(one, "data_url"), output_format: "jpg", num_outputs: 1 }],
    [kontext, "replicate", edit([one]), { input_image: file(one, "data_url"), output_format: "png" }],
    [
      kontext,
      "bfl",
      edit([one, two, three]),
      {
        input_image: file(one, "base64"),
        input_image_2: file(two, "base64"),
        input_image_3: file(three, "base64"),
        output_format: "png",
      },
    ],
    [
      flux2,
      "replicate",
      edit([one, two]),
      {
        input_images: [file(one, "data_url"), file(two, "data_url")],
        aspect_ratio: "match_input_image",
        output_format: "jpg",
      },
    ],
    [flux2, "fal", edit([one]), { image_urls: [file(one, "data_url")], output_format: "jpeg" }],
    [
      "stability/stable-image-ultra",
      "stability",
      edit([one]),
      { image: file(one, "file"), strength: 0.5, output_format: "png" },
    ],
    [
      "stability/stable-diffusion-3.5-large",
      "stability",
      edit([one]),
      { image: file(one, "file"), strength: 0.5, mode: "image-to-image", output_format: "png" },
    ],
  ])("%s at %s", (id, provider, given, sent) => {
    const checked = check(id, {}, given);
    expect(cannotHonour(route(id, provider), checked)).toBeNull();
    expect(mapParameters(route(id, provider), checked, 0, 1)).toEqual({ prompt, ...sent });
  });

  test("a parameter that is given wins over a route's default for edits", () => {
    const checked = check(flux2, { size: "1024x768" }, edit([one]));
    expect(mapParameters(route(flux2, "replicate"), checked, 0, 1)).toMatchObject({
      aspect_ratio: "custom",
      width: 1024,
    });
  });

  test("another upstream name for edits", () => {
    expect(route(flux2, "fal").editModel).toBe("fal-ai/flux-2-pro/edit");
    expect(route(flux2, "bfl").editModel).toBeUndefined();
  });
});

describe("what a route cannot honour", () => {
  const small = { width: 64, height: 64 };
  test.each<[string, string, Body, ReturnType<typeof edit> | undefined, string | null]>([
    [pro11, "bfl", { output_quality: 90 }, undefined, "output_quality"],
    [pro11, "bfl", { image_prompt: "https://example.com/a.png" }, undefined, "image_prompt"],
    [pro11, "replicate", { safety_tolerance: 0 }, undefined, "safety_tolerance"],
    [pro11, "replicate", { safety_tolerance: 1 }, undefined, null],
    [pro11, "fal", { safety_tolerance: 0 }, undefined, "safety_tolerance"],
    [pro11, "fal", { output_format: "webp" }, undefined, "output_format"],
    [schnell, "replicate", { num_inference_steps: 5 }, undefined, "num_inference_steps"],
    [schnell, "replicate", { num_inference_steps: 4 }, undefined, null],
    [schnell, "fal", { num_inference_steps: 5 }, undefined, null],
    [schnell, "replicate", { size: "512x512" }, undefined, "size"],
    [dev, "fal", { guidance: 0.5 }, undefined, "guidance"],
    [dev, "replicate", { guidance: 10.5 }, undefined, "guidance"],
    [gpt26, "azure", { output_format: "gif" }, undefined, "output_format"],
    [gpt26, "azure", { complexity: "low" }, undefined, "complexity"],
    [gpt26, "azure", { stream: true, partial_images: 2 }, undefined, null],
    // Replicate takes steps of 16 for pro (upstream-apis.md §4.3), and knows sides from 256 to 2048.
    [flux2, "replicate", { size: "1040x1024" }, undefined, null],
    [flux2, "replicate", { size: "128x1024" }, undefined, "size"],
    [flux2, "bfl", { size: "1040x1024" }, undefined, null],
    [flux2, "fal", { size: "4096x512" }, undefined, "size"],
    [flux2, "replicate", { safety_tolerance: 0 }, undefined, "safety_tolerance"],
    [dev, "bfl", {}, edit(), "operation"],
    [kontext, "replicate", {}, edit(2), "images"],
    [kontext, "replicate", {}, edit([picture({ bytes: 190_001 })]), "images"],
    [kontext, "bfl", {}, edit([picture({ bytes: 190_001 })]), null],
    [kontext, "bfl", {}, edit(4), null],
    [flex, "bfl", {}, edit(9), "images"],
    [flex, "replicate", {}, edit(9), null],
    [gpt25, "azure", {}, edit([picture(small)], { markup: picture(small) }), "markup"],
    [gpt25, "azure", {}, edit([picture(small)], { mask: picture(small) }), null],
  ])("%s at %s: %j", (id, provider, extra, given, param) => {
    const checked = check(id, extra, given);
    expect(cannotHonour(route(id, provider), checked)).toBe(param);
    // Mapping it all the same drops nothing in silence, where a field is concerned.
    if (param !== null && checked.parameters[param] !== undefined && route(id, provider).fields.get(param) === false)
      expect(() => mapParameters(route(id, provider), checked, 0, 1)).toThrow(`cannot honour '${param}'`);
  });

  test("previews, on a route without", () => {
    const silent = { ...route(gpt2), streams: false };
    expect(cannotHonour(silent, check(gpt2, { stream: true, partial_images: 1 }))).toBe("partial_images");
    // The finished image alone can be an event of ours.
    expect(cannotHonour(silent, check(gpt2, { stream: true }))).toBeNull();
  });

  test("a default of ours counts as well", () => {
    const fields = new Map(route(flux).fields).set("output_format", { field: "output_format", only: ["png"] });
    expect(cannotHonour({ ...route(flux), fields }, check(flux))).toBe("output_format");
    expect(cannotHonour({ ...route(flux), fields }, check(flux, { output_format: "png" }))).toBeNull();
  });

  test("what is said by sending nothing is honoured", () => {
    const fields = new Map(route(gpt2).fields).set("size", { field: "size", omit: ["auto"] });
    const quiet = { ...route(gpt2), fields };
    expect(cannotHonour(quiet, check(gpt2, { size: "auto" }))).toBeNull();
    expect(mapParameters(quiet, check(gpt2, { size: "auto" }), 0, 1)).toEqual({ prompt, output_format: "png" });
    expect(mapParameters(quiet, check(gpt2, { size: "1024x1024" }), 0, 1)).toMatchObject({ size: "1024x1024" });
  });

  test("auto is no two sides", () => {
    const fields = new Map(route(gpt2).fields).set("size", { width: "w", height: "h" });
    expect(cannotHonour({ ...route(gpt2), fields }, check(gpt2, { size: "auto" }))).toBe("size");
    expect(cannotHonour({ ...route(gpt2), fields }, check(gpt2, { size: "1024x1024" }))).toBeNull();
  });
});

test("a call makes several pictures, but with a seed only one: each has its own", () => {
  expect(imagesPerCall(route(schnell), check(schnell, { n: 4 }))).toBe(4);
  expect(imagesPerCall(route(schnell), check(schnell, { n: 4, seed: 1 }))).toBe(1);
  expect(imagesPerCall(route(gpt2), check(gpt2, { n: 4 }))).toBe(10);
});

describe("the seed of picture i", () => {
  const seeds = (id: string, seed: number) =>
    [0, 1, 9].map((offset) => mapParameters(route(id), check(id, { seed, n: 10 }), offset, 1).seed);

  test("is seed + i", () => {
    expect(seeds(stableDiffusion, 7)).toEqual([7, 8, 16]);
    expect(seeds(flux, 0)).toEqual([0, 1, 9]);
    expect(seeds(flux, 2147483638)).toEqual([2147483638, 2147483639, 2147483647]);
  });

  test("stays 0 where 0 means random", () => {
    expect(seeds(stableDiffusion, 0)).toEqual([0, 0, 0]);
  });

  test("no other number is counted up", () => {
    const sent = mapParameters(route(flux), check(flux, { n: 3, steps: 20, guidance: 3, output_quality: 90 }), 2, 1);
    expect([sent.steps, sent.guidance, sent.output_quality]).toEqual([20, 3, 90]);
    expect("seed" in sent).toBe(false);
  });
});
