import { describe, expect, test } from "bun:test";
import { listEndpoints, listModel } from "../../src/catalogue/index.ts";
import { catalogue, dallE2, dallE3, flux, model, stableDiffusion } from "./support.ts";

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
      supported_parameters: ["model", "prompt", "n", "quality", "style", "user", "response_format", "size"],
      default_parameters: {
        n: 1,
        quality: "standard",
        style: "vivid",
        response_format: "url",
        size: "1024x1024",
      },
      expiration_date: "2026-05-12",
      lifecycle: { end_date: "2026-05-12", successor: "openai/gpt-image-2" },
    });
    expect(pricing.rows[0]).toEqual({ size: "1024x1024", quality: "standard", usd: "0.04" });
    expect(pricing).toMatchObject({ currency: "USD", unit: "image", checked: "2026-11-22" });
    expect(Object.keys(parameters)).toEqual(["prompt", "n", "quality", "style", "user", "response_format", "size"]);
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
  ])("%s %s: %s", (id, name, rule) => {
    expect(listModel(model(id)).parameters[name]?.rule).toBe(rule);
  });

  test("a model that looks at a picture says so", () => {
    expect(listModel(model(flux)).architecture.input_modalities).toEqual(["text", "image"]);
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
        "size",
        "aspect_ratio",
      ],
    },
  ]);
});
