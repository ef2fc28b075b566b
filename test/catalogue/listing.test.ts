import { describe, expect, test } from "bun:test";
import { listEndpoints, listModel } from "../../src/catalogue/index.ts";
import { catalogue, dallE2, dallE3, flux, model, stableDiffusion } from "./support.ts";

const gpt2 = "openai/gpt-image-2";

describe("listModel", () => {
  test("dall-e-3, whole", () => {
    const { description, pricing, parameters, ...rest } = listModel(model(dallE3));
    expect(description).toStartWith("OpenAI's third image model");
    expect(rest).toEqual({
      id: "openai/dall-e-3",
      object: "model",
      created: 1698785189,
      owned_by: "openai",
      canonical_slug: "openai/dall-e-3",
      name: "DALL·E 3",
      architecture: { input_modalities: ["text"], output_modalities: ["image"] },
      operations: ["generate"],
      edit: null,
      streams: false,
      supported_parameters: ["model", "prompt", "n", "quality", "style", "user", "response_format", "stream", "size"],
      default_parameters: {
        n: 1,
        quality: "standard",
        style: "vivid",
        response_format: "url",
        stream: false,
        size: "1024x1024",
      },
      expiration_date: "2026-05-12",
      lifecycle: { end_date: "2026-05-12", successor: "openai/gpt-image-2" },
    });
    if (pricing.unit !== "image") throw new Error("another unit");
    expect(pricing.rows[0]).toEqual({ size: "1024x1024", quality: "standard", usd: "0.04" });
    expect(pricing).toMatchObject({ currency: "USD", unit: "image", checked: "2026-11-22" });
    expect(Object.keys(parameters)).toEqual([
      ...["prompt", "n", "quality", "style", "user", "response_format", "stream", "size"],
    ]);
    expect(parameters.prompt).toEqual({
      type: "string",
      description: "What the image should show.",
      max_length: 4000,
      required: true,
      rule: "string of at most 4000 characters",
    });
    expect(parameters.n).toMatchObject({ type: "integer", minimum: 1, maximum: 1, rule: "only 1", required: false });
    expect(parameters.style).toMatchObject({ values: ["vivid", "natural"], vendor_default: "vivid" });
  });

  test.each([
    [flux, "prompt", "string"],
    [flux, "size", "WIDTHxHEIGHT; width and height must both be divisible by 32 and between 256 and 1440"],
    [flux, "steps", "integer from 1 to 50"],
    [flux, "guidance", "number from 2 to 5"],
    [flux, "prompt_upsampling", "true or false"],
    [flux, "image_prompt", "https URL"],
    [flux, "seed", "integer from 0 to 2147483647; picture i of n uses seed + i, counted from 0"],
    [
      stableDiffusion,
      "seed",
      "integer from 0 to 4294967294; picture i of n uses seed + i, counted from 0; 0 means random",
    ],
    [stableDiffusion, "size", "only 1024x1024"],
    [dallE2, "n", "integer from 1 to 10"],
    [dallE2, "quality", "only standard"],
    [gpt2, "quality", "one of low, medium, high, auto"],
    [
      gpt2,
      "size",
      "auto, or WIDTHxHEIGHT; width and height must both be divisible by 16 and between 16 and 3840; from 1:3 to 3:1; from 655360 to 8294400 pixels in all",
    ],
    ["openai/gpt-image-1.5", "size", "one of 1024x1024, 1024x1536, 1536x1024, auto"],
    [
      "openai/gpt-image-2.6-flare",
      "svg",
      "object with model (string), reasoning (object with effort (one of none, minimal, low, medium, high, xhigh, max))",
    ],
    [
      "black-forest-labs/flux-2-max",
      "size",
      "WIDTHxHEIGHT; width and height must both be divisible by 16 and between 64 and 4096; at most 4194304 pixels in all",
    ],
  ])("%s %s: %s", (id, name, rule) => {
    expect(listModel(model(id)).parameters[name]?.rule).toBe(rule);
  });

  test("a model that looks at a picture says so", () => {
    expect(listModel(model(flux)).architecture.input_modalities).toEqual(["text", "image"]);
  });

  test("a model that edits says what it takes, and which parameters are for edits", () => {
    const entry = listModel(model("openai/gpt-image-1.5"));
    expect(entry.operations).toEqual(["generate", "edit"]);
    expect(entry.architecture.input_modalities).toEqual(["text", "image"]);
    expect(entry.edit).toEqual({
      max_images: 16,
      mask: true,
      markup: false,
      input_types: ["image/png", "image/jpeg", "image/webp"],
    });
    expect(entry.streams).toBe(true);
    expect(entry.supported_parameters).toContain("partial_images");
    expect(entry.parameters.input_fidelity?.operations).toEqual(["edit"]);
    expect(entry.parameters.moderation?.operations).toEqual(["generate"]);
  });

  test("prices by tokens and by megapixels", () => {
    expect(listModel(model(gpt2)).pricing).toMatchObject({
      unit: "token",
      text_input_usd: "5",
      image_input_usd: "8",
      image_output_usd: "30",
      output_tokens: [
        { quality: "low", tokens: 196 },
        { quality: "medium", tokens: 1756 },
        { quality: "high", tokens: 7024 },
      ],
      auto_quality: "high",
      per_partial_image: 100,
    });
    expect(listModel(model("openai/gpt-image-2.6-flare")).pricing).toMatchObject({
      unpriced: { output_format: ["svg"] },
    });
    const bfl = listEndpoints(model("black-forest-labs/flux-2-pro")).find(({ provider_id }) => provider_id === "bfl");
    expect(bfl?.pricing).toMatchObject({
      unit: "megapixel",
      first_usd: "0.03",
      usd: "0.015",
      input_usd: "0.015",
      max_megapixels: 4,
      charge: "reported",
    });
  });

  test("is plain JSON, with a rule for every parameter but model", () => {
    for (const each of catalogue.models) {
      const entry = listModel(each);
      expect(JSON.parse(JSON.stringify(entry))).toEqual(entry);
      expect(["model", ...Object.keys(entry.parameters)].sort()).toEqual([...entry.supported_parameters].sort());
      for (const parameter of Object.values(entry.parameters)) expect(parameter.rule).not.toBe("");
    }
  });
});

test("listEndpoints names provider, upstream model and price", () => {
  expect(listEndpoints(model(stableDiffusion))).toEqual([
    {
      provider_id: "stability",
      provider_name: "Stability AI",
      model: "sd3.5-large",
      operations: ["generate"],
      streams: false,
      pricing: {
        currency: "USD",
        unit: "image",
        rows: [{ usd: "0.065" }],
        source: "service-facts.md, Image endpoint; upstream-apis.md 3 (6.5 credits of $0.01) and 9",
        checked: "2026-11-22",
      },
      supported_parameters: [
        "model",
        "prompt",
        "n",
        "negative_prompt",
        "seed",
        "output_format",
        "user",
        "response_format",
        "stream",
        "size",
        "aspect_ratio",
      ],
    },
  ]);
});

test("an endpoint lists only what its route can honour", () => {
  const [replicate, bfl] = listEndpoints(model("black-forest-labs/flux-1.1-pro"));
  expect(replicate?.supported_parameters).toContain("output_quality");
  expect(bfl?.supported_parameters).not.toContain("output_quality");
  expect(bfl?.supported_parameters).toContain("aspect_ratio");
});

test("of dated prices the day's is shown, and all of them", () => {
  const each = model(stableDiffusion);
  const [price] = each.routes[0].prices;
  const later = { ...price, from: "2027-01-01" };
  const dated = { ...each, routes: [{ ...each.routes[0], prices: [price, later] }] as unknown as typeof each.routes };
  expect(listModel(dated, "2026-12-31").pricing.from).toBeUndefined();
  expect(listModel(dated, "2027-01-01").pricing.from).toBe("2027-01-01");
  expect(listEndpoints(dated, "2026-12-31")[0]?.dated_pricing).toHaveLength(2);
  expect(listEndpoints(each)[0]?.dated_pricing).toBeUndefined();
});
