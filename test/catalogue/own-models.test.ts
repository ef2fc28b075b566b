/** What operators' files may say beyond one provider's plain generations, and what is wrong in them. */

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtInModels } from "../../models/index.ts";
import { cannotHonour, checkRequest, loadCatalogue, mapParameters, quote } from "../../src/catalogue/index.ts";
import { InputFile } from "../../src/providers/input.ts";
import { type Body, body, delivered, edit, picture, today } from "./support.ts";

const folder = mkdtempSync(join(tmpdir(), "arouter-own-models-"));
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
});

const builtIn = (id: string): Body =>
  structuredClone(Object.values(builtInModels).find((content) => (content as { id: string }).id === id)) as Body;

function put(file: Body, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop() ?? "";
  const parent = keys.reduce<unknown>((node, key) => (node as Body)[key], file);
  (parent as Body)[last] = value;
}

function write(id: string, edits: Body): string {
  const file = builtIn(id);
  for (const [path, value] of Object.entries(edits)) put(file, path, value);
  const path = join(folder, "own.json");
  writeFileSync(path, JSON.stringify(file));
  return path;
}

describe("the example for sd-server", () => {
  const example = new URL("../../examples/sd-server-model.json", import.meta.url).pathname;
  const load = () => {
    copyFileSync(example, join(folder, "sd-server-model.json"));
    return loadCatalogue({ folder });
  };

  test("loads, is free, and says where the server is", () => {
    const catalogue = load();
    const checked = checkRequest(catalogue, body("local/stable-diffusion", { steps: 20, seed: 7, n: 2 }));
    const [route] = checked.model.routes;
    expect([route.provider, route.baseUrl, route.streams]).toEqual(["sd-server", "http://127.0.0.1:1234/v1", false]);
    expect(cannotHonour(route, checked)).toBeNull();
    expect(mapParameters(route, checked, 1, 1)).toEqual({
      prompt: "a lighthouse",
      steps: 20,
      seed: 8,
      output_format: "png",
      size: "512x512",
    });
    const quoted = quote(route, checked, today);
    expect([quoted?.totalNanos, quoted?.charge(delivered([{ width: 512, height: 512 }]))]).toEqual([0n, 0n]);
  });

  test("edits a picture", () => {
    const checked = checkRequest(load(), body("stable-diffusion"), edit());
    const sent = mapParameters(checked.model.routes[0], checked, 0, 1);
    expect(sent["image[]"]).toEqual([new InputFile(picture(), "file")]);
  });
});

const gpt2 = "openai/gpt-image-2";
const flux2 = "black-forest-labs/flux-2-pro";
const token = (builtIn(gpt2).routes as Array<{ price: Body }>)[0]?.price ?? {};
const perImage = { unit: "image", rows: [{ usd: "0.04" }], source: "x", checked: today };

describe("what is wrong in a file is named with its place", () => {
  test.each<[string, string, Body, string]>([
    ["edits without saying of what", gpt2, { edit: undefined }, "edit: expected what an edit can be given"],
    [
      "pictures for a model that does not edit",
      "openai/dall-e-3",
      { edit: { max_images: 1, mask: false } },
      "edit: expected no such key: the model does not edit",
    ],
    ["an unknown operation", gpt2, { operations: ["paint"] }, 'operations[0]: expected "generate" or "edit"'],
    [
      "a route's unknown operation",
      "openai/dall-e-3",
      { "routes.0.operations": ["edit"] },
      "routes[0].operations[0]: expected an operation of this model",
    ],
    [
      "a parameter's unknown operation",
      "openai/dall-e-3",
      { "parameters.style.operations": ["edit"] },
      "parameters.style.operations[0]: expected an operation of this model",
    ],
    [
      "a default for an unknown operation",
      "openai/dall-e-3",
      { "parameters.style.default_for": ["edit"] },
      "parameters.style.default_for[0]: expected an operation",
    ],
    [
      "pictures that no field carries",
      gpt2,
      { "routes.0.fields.images": undefined },
      "routes[0].fields.images: expected how it is sent",
    ],
    [
      "a mask that no field carries",
      gpt2,
      { "routes.0.fields.mask": undefined },
      "routes[0].fields.mask: expected how it is sent",
    ],
    [
      "pictures that cannot be sent",
      gpt2,
      { "routes.0.fields.images": false },
      "routes[0].fields.images: expected a field: an edit has pictures",
    ],
    [
      "pictures as text",
      gpt2,
      { "routes.0.fields.images": "image" },
      "routes[0].fields.images: expected {field, as, list}, or false",
    ],
    [
      "several masks",
      gpt2,
      { "routes.0.fields.mask": { field: "mask", as: "file", list: "array" } },
      'routes[0].fields.mask.list: expected "one"',
    ],
    [
      "a parameter as a picture",
      gpt2,
      { "routes.0.fields.quality": { field: "q", as: "file", list: "one" } },
      "routes[0].fields.quality: expected pictures (images, mask, markup)",
    ],
    [
      "a parameter called mask",
      gpt2,
      { "parameters.mask": { type: "boolean", description: "x" } },
      "parameters.mask: expected another name",
    ],
    [
      "a parameter called models",
      gpt2,
      { "parameters.models": { type: "boolean", description: "x" } },
      "parameters.models: expected another name",
    ],
    [
      "edit constants of a route that does not edit",
      "openai/dall-e-3",
      { "routes.0.edit_constants": { mode: "x" } },
      "routes[0].edit_constants: expected no such key",
    ],
    [
      "an edit constant in a parameter's place",
      gpt2,
      { "routes.0.edit_constants": { size: "x" } },
      "routes[0].edit_constants.size: expected another field: size is sent as this one",
    ],
    [
      "a count in a parameter's place",
      gpt2,
      { "routes.0.count_field": "size" },
      "routes[0].count_field: expected another field: size is sent as this one",
    ],
    [
      "a value that nobody can give",
      flux2,
      { "routes.0.fields.output_format": { field: "f", only: ["tiff"] } },
      "routes[0].fields.output_format.only: expected a value that 'output_format' takes",
    ],
    [
      "a shape that nobody can ask for",
      flux2,
      { "routes.1.fields.aspect_ratio": { expand: { "7:5": { width: 1 } } } },
      "routes[1].fields.aspect_ratio.expand: expected a value that 'aspect_ratio' takes",
    ],
    [
      "bounds of a word",
      flux2,
      { "routes.0.fields.output_format": { field: "f", maximum: 3 } },
      "routes[0].fields.output_format.maximum: expected a number's parameter",
    ],
    [
      "a need of nothing",
      gpt2,
      { "parameters.quality.requires": [{ parameter: "seed", one_of: [1] }] },
      "parameters.quality.requires[0].parameter: expected another parameter",
    ],
    [
      "a need that cannot be met",
      gpt2,
      { "parameters.quality.requires": [{ parameter: "output_format", one_of: ["bmp"] }] },
      "parameters.quality.requires[0].one_of: expected a value that 'output_format' takes",
    ],
    [
      "a need of no value of its own",
      gpt2,
      { "parameters.quality.requires": [{ for: ["best"], parameter: "n", one_of: [1] }] },
      "parameters.quality.requires[0].for: expected a value that 'quality' takes",
    ],
    [
      "a base URL that is none",
      gpt2,
      { "routes.0.base_url": "localhost" },
      "routes[0].base_url: expected an http or https URL",
    ],
    [
      "a price by parts of nano-dollars",
      gpt2,
      { "routes.0.price.image_output_usd": "0.0005" },
      "routes[0].price.image_output_usd: expected US dollars per million tokens with at most 3 decimals",
    ],
    [
      "tokens for no quality",
      gpt2,
      { "routes.0.price.output_tokens": [{ quality: "hd", tokens: 1 }] },
      "routes[0].price.output_tokens[0].quality: expected a value that 'quality' takes",
    ],
    [
      "auto as a quality without tokens",
      gpt2,
      { "routes.0.price.auto_quality": "auto" },
      "routes[0].price.auto_quality: expected a quality of output_tokens",
    ],
    [
      "frames that nobody can ask for",
      gpt2,
      { "routes.0.price.frames": { parameter: "frame_count", format: "gif" } },
      "routes[0].price.frames.parameter: expected an integer parameter with a default",
    ],
    [
      "no price for a value that is none",
      gpt2,
      { "routes.0.price.unpriced": { output_format: ["svg"] } },
      "routes[0].price.unpriced.output_format: expected a value that 'output_format' takes",
    ],
    [
      "a token price without a rate",
      gpt2,
      { "routes.0.price": { ...token, image_input_usd: undefined } },
      "routes[0].price.image_input_usd: Invalid input: expected string",
    ],
    [
      "prices out of order",
      gpt2,
      {
        "routes.0.price": [
          { ...perImage, from: "2027-01-02" },
          { ...perImage, from: "2027-01-01" },
        ],
      },
      "routes[0].price[1].from: expected a later day than the price before it",
    ],
    [
      "two prices without days",
      gpt2,
      { "routes.0.price": [perImage, perImage] },
      "routes[0].price[1].from: expected a later day",
    ],
    [
      "an unknown unit among several",
      gpt2,
      { "routes.0.price": [{ ...perImage, unit: "second" }] },
      'routes[0].price[0].unit: expected "image", "megapixel" or "token"',
    ],
    ["no price at all", gpt2, { "routes.0.price": [] }, "routes[0].price: "],
    [
      "a mapping for no successor",
      gpt2,
      { "lifecycle.successor_mapping": { values: {}, refused: [] } },
      "lifecycle.successor_mapping: expected a successor",
    ],
    [
      "a mapping of no value",
      "openai/dall-e-3",
      { "lifecycle.successor_mapping.values.quality": { best: "high" } },
      "lifecycle.successor_mapping.values.quality: expected a value that 'quality' takes",
    ],
    [
      "a refusal of nothing",
      "openai/dall-e-3",
      { "lifecycle.successor_mapping.refused": ["seed"] },
      "lifecycle.successor_mapping.refused[0]: expected a parameter of this model",
    ],
  ])("%s", (_title, id, edits, message) => {
    const path = write(id, edits);
    expect(() => loadCatalogue({ folder })).toThrow(`${path}: ${message}`);
  });
});

test("what is needed may be the vendor's default", () => {
  write(gpt2, { "parameters.safety_identifier.requires": [{ parameter: "quality", one_of: ["auto"] }] });
  const catalogue = loadCatalogue({ folder });
  const given = body(gpt2, { safety_identifier: "x" });
  expect(checkRequest(catalogue, given).parameters.safety_identifier).toBe("x");
  expect(() => checkRequest(catalogue, { ...given, quality: "low" })).toThrow(
    "it needs 'quality' to be 'auto', but that is 'low'",
  );
});

test("a price may change on a day", () => {
  write(flux2, { "routes.0.price": [perImage, { ...perImage, from: "2027-01-01", rows: [{ usd: "0.05" }] }] });
  const checked = checkRequest(loadCatalogue({ folder }), body(flux2));
  const [route] = checked.model.routes;
  expect(quote(route, checked, "2026-12-31")?.rule).toBe(`${flux2}@bfl per_image 0.04 checked=2026-11-22`);
  expect(quote(route, checked, "2027-01-01")?.rule).toBe(
    `${flux2}@bfl per_image 0.05 from=2027-01-01 checked=2026-11-22`,
  );
});

test("the successor's words are data", () => {
  const catalogue = loadCatalogue();
  expect(catalogue.find("dall-e-3")?.lifecycle.mapping).toEqual({
    values: { quality: { standard: "medium", hd: "high" } },
    refused: ["style"],
  });
  expect(catalogue.find("dall-e-2")?.lifecycle.mapping?.values).toEqual({
    quality: { standard: "medium" },
    size: { "256x256": "1024x1024", "512x512": "1024x1024" },
  });
  expect(catalogue.find("gpt-image-2")?.lifecycle.mapping).toBeNull();
});

test("the schema of yesterday's files still holds: nothing new is required", () => {
  for (const id of ["openai/dall-e-3", "black-forest-labs/flux-1-pro", "stability/stable-diffusion-3-large"]) {
    const route = (builtIn(id).routes as Body[])[0] ?? {};
    expect(Object.keys(route).sort()).toEqual([
      "constants",
      "fields",
      "max_images_per_call",
      "model",
      "price",
      "provider",
      "provider_name",
    ]);
  }
  expect(readFileSync(new URL("../../models/schema.json", import.meta.url), "utf8")).toContain("successor_mapping");
});
