/** The model files themselves, what is generated from them, and an operator's own. */

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtInModels } from "../../models/index.ts";
import { modelJsonSchema, schemaPath } from "../../scripts/model-schema.ts";
import { modelTables, tablesPath } from "../../scripts/model-tables.ts";
import { checkRequest, isEnded, loadCatalogue, mapParameters, quote } from "../../src/catalogue/index.ts";
import { families } from "./families.ts";
import { body, catalogue, dallE2, dallE3, flux, model, stableDiffusion, today } from "./support.ts";

const modelsFolder = new URL("../../models/", import.meta.url).pathname;

describe("built-in models", () => {
  test("models/index.ts lists every file", () => {
    const files = readdirSync(modelsFolder).filter((name) => name.endsWith(".json") && name !== "schema.json");
    expect(Object.keys(builtInModels).sort()).toEqual(files.sort());
  });

  test("each under its own file name", () => {
    for (const [file, content] of Object.entries(builtInModels)) {
      expect(content).toEqual(JSON.parse(readFileSync(join(modelsFolder, file), "utf8")));
    }
  });

  test("models/schema.json is current (bun scripts/model-schema.ts)", () => {
    expect(JSON.parse(readFileSync(schemaPath, "utf8"))).toEqual(JSON.parse(JSON.stringify(modelJsonSchema())));
  });

  test("docs/reference/models.md is current (bun scripts/model-tables.ts)", () => {
    expect(readFileSync(tablesPath, "utf8")).toBe(modelTables(loadCatalogue()));
  });

  test("the seed's four and the families of families.ts, sorted", () => {
    const ids = [flux, dallE2, dallE3, stableDiffusion, ...Object.keys(families)];
    expect(catalogue.models.map(({ id }) => id)).toEqual(ids.sort());
    expect(ids).toHaveLength(34);
  });

  test("each in the file that its id names", () => {
    for (const [file, content] of Object.entries(builtInModels))
      expect(file).toBe(`${(content as { id: string }).id.replace("/", "-")}.json`);
  });

  test("ends: the day after the end date, and only where there is one", () => {
    expect(isEnded(model(dallE3), "2026-05-11")).toBe(false);
    expect(isEnded(model(dallE3), "2026-05-12T23:59:59Z")).toBe(false);
    expect(isEnded(model(dallE3), "2026-05-13")).toBe(true);
    expect(isEnded(model(dallE2), "2026-11-22T00:00:00.000Z")).toBe(true);
    expect(isEnded(model(flux), "2999-01-01")).toBe(false);
    expect(model(dallE2).lifecycle.successor).toBe("openai/gpt-image-2");
    expect(model(dallE3).lifecycle.note).toContain("AROUTER_LEGACY=successor");
  });
});

/** Edits of a model file: path → new value; undefined takes the key away. */
type Edits = Record<string, unknown>;

function put(file: unknown, path: string, value: unknown): void {
  const keys = path.split(".");
  const last = keys.pop() ?? "";
  const parent = keys.reduce((node, key) => (node as Record<string, unknown>)[key], file);
  (parent as Record<string, unknown>)[last] = value;
}

describe("an operator's folder", () => {
  const folder = mkdtempSync(join(tmpdir(), "arouter-models-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeEach(() => {
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
  });

  /** Writes a built-in model, edited, into the folder; returns the path. */
  function write(name: string, base: string, edits: Edits): string {
    const file = structuredClone(
      Object.values(builtInModels).find((content) => (content as { id: string }).id === base),
    );
    for (const [path, value] of Object.entries(edits)) put(file, path, value);
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify(file));
    return path;
  }

  test("adds a model, found by id and alias", () => {
    write("own.json", flux, { id: "acme/painter", aliases: ["painter"] });
    const loaded = loadCatalogue({ folder });
    expect(loaded.models.map(({ id }) => id)).toEqual(["acme/painter", ...catalogue.models.map(({ id }) => id)]);
    expect(loaded.find("painter")?.id).toBe("acme/painter");
    expect(loaded.find("acme/painter")?.id).toBe("acme/painter");
    expect(loaded.find("Painter")).toBeUndefined();
    const checked = checkRequest(loaded, body("painter"));
    const [route] = checked.model.routes;
    expect(quote(route, checked, today)?.rule).toStartWith("acme/painter@replicate per_image 0.05");
    expect(mapParameters(route, checked, 0, 1)).toEqual({
      prompt: "a lighthouse",
      aspect_ratio: "1:1",
      output_format: "webp",
    });
  });

  test("replaces a built-in model of the same id", () => {
    write("mine.json", dallE3, { name: "Mine", response_format: "b64_json" });
    const loaded = loadCatalogue({ folder });
    expect(loaded.models).toHaveLength(catalogue.models.length);
    expect(loaded.find("dall-e-3")?.name).toBe("Mine");
    expect(checkRequest(loaded, body("dall-e-3")).responseFormat).toBe("b64_json");
    expect(loadCatalogue().find("dall-e-3")?.name).toBe("DALL·E 3");
  });

  test("leaves other files alone", () => {
    writeFileSync(join(folder, "README.md"), "not a model");
    expect(loadCatalogue({ folder }).models).toHaveLength(catalogue.models.length);
  });

  test("must exist", () => {
    expect(() => loadCatalogue({ folder: join(folder, "absent") })).toThrow("absent");
  });

  test("a model without prices loads, and has no quote", () => {
    write("own.json", flux, { "routes.0.price.rows": [] });
    const loaded = loadCatalogue({ folder });
    const checked = checkRequest(loaded, body(flux));
    expect(quote(checked.model.routes[0], checked, today)).toBeNull();
  });

  test.each<[string, Edits, string]>([
    ["a missing key", { name: undefined }, "name: Invalid input: expected string, received undefined"],
    ["an unknown key", { nmae: "x" }, "(whole file): unknown key nmae; expected those of models/schema.json"],
    ["an unknown key inside", { "parameters.size.min": 1 }, "parameters.size: unknown key min"],
    ["an id of another form", { id: "dall-e-3" }, "id: expected an id of the form author/model, in lower case"],
    [
      "a float as a price",
      { "routes.0.price.rows.1.usd": 0.08 },
      "routes[0].price.rows[1].usd: Invalid input: expected string, received number",
    ],
    [
      "too fine a price",
      { "routes.0.price.rows.1.usd": "0.0800000000" },
      "routes[0].price.rows[1].usd: expected a decimal string of US dollars with at most 9 decimals",
    ],
    [
      "a negative price",
      { "routes.0.price.rows.0.usd": "-1" },
      "routes[0].price.rows[0].usd: expected a decimal string",
    ],
    [
      "another unit",
      { "routes.0.price.unit": "second" },
      'routes[0].price.unit: expected "image", "megapixel" or "token"',
    ],
    ["a wrong date", { "lifecycle.end_date": "12.5.2026" }, "lifecycle.end_date: expected a date, YYYY-MM-DD"],
    [
      "an unknown type",
      { "parameters.style.type": "colour" },
      "parameters.style.type: expected one of enum, integer, number",
    ],
    ["an empty list", { "parameters.style.values": [] }, "parameters.style.values: expected at least one value"],
    [
      "a value twice",
      { "parameters.style.values": ["vivid", "natural", "vivid"] },
      "parameters.style.values: expected every value once",
    ],
    [
      "a bad parameter name",
      { "parameters.constructor": { type: "boolean", description: "x" } },
      "parameters.constructor: expected a lower-case parameter name",
    ],
    ["no route", { routes: [] }, "routes: expected at least one route"],
    [
      "a strange mapping",
      { "routes.0.fields.style": 3 },
      "routes[0].fields.style: expected a field name, null (accepted, not sent)",
    ],
    [
      "a parameter every model has",
      { "parameters.user": { type: "string", description: "x" } },
      "parameters.user: expected another name",
    ],
    [
      "a parameter that no route mentions",
      { "routes.0.fields.style": undefined },
      "routes[0].fields.style: expected how it is sent, or null for never",
    ],
    [
      "a prompt that is not sent",
      { "routes.0.fields.prompt": null },
      "routes[0].fields.prompt: expected a field: a prompt is always sent",
    ],
    [
      "a mapping for nothing",
      { "routes.0.fields.seed": "seed" },
      "routes[0].fields.seed: expected prompt, user or a parameter of this model",
    ],
    [
      "width and height of a word",
      { "routes.0.fields.style": { width: "w", height: "h" } },
      "routes[0].fields.style: expected a size where width and height are sent",
    ],
    [
      "a constant in a parameter's place",
      { "routes.0.constants.size": "x" },
      "routes[0].constants.size: expected another field: size is sent as this one",
    ],
    [
      "a price for no size",
      { "routes.0.price.rows.2.size": "1024x1204" },
      "routes[0].price.rows[2].size: expected a value that 'size' takes: one of 1024x1024, 1792x1024, 1024x1792",
    ],
    [
      "a price for no quality",
      { "routes.0.price.rows.2.quality": "low" },
      "routes[0].price.rows[2].quality: expected a value that 'quality' takes: one of standard, hd",
    ],
    [
      "a default outside the rule",
      { "parameters.quality.default": "low" },
      "parameters.quality.default: expected a value that 'quality' takes: one of standard, hd",
    ],
    [
      "a vendor's default outside the rule",
      { "parameters.style.vendor_default": "low" },
      "parameters.style.vendor_default: expected a value that 'style' takes",
    ],
    [
      "a conflict with nothing",
      { "parameters.style.conflicts_with": ["seed"] },
      "parameters.style.conflicts_with[0]: expected another parameter of this model",
    ],
    [
      "a conflict with itself",
      { "parameters.style.conflicts_with": ["style"] },
      "parameters.style.conflicts_with[0]: expected another parameter",
    ],
    [
      "two defaults in conflict",
      { "parameters.quality.conflicts_with": ["size"] },
      "parameters.quality.default: expected a default here or for size, not both",
    ],
    [
      "two sizes",
      { "parameters.size2": { type: "size", description: "x", values: ["1x1"] } },
      "parameters.size2: expected at most one parameter of type size or size_rule",
    ],
    [
      "bounds the wrong way round",
      { "parameters.steps": { type: "integer", description: "x", minimum: 2, maximum: 1 } },
      "parameters.steps.minimum: expected at most the maximum",
    ],
    [
      "an example outside its rule",
      {
        "parameters.size": {
          type: "size_rule",
          description: "x",
          divisible_by: 32,
          min_side: 256,
          max_side: 1024,
          example: "100x100",
        },
      },
      "parameters.size.example: expected a value that 'size' takes",
    ],
    [
      "an alias that is taken",
      { aliases: ["dall-e-2"] },
      "aliases[0]: expected a name of its own, 'dall-e-2' is openai/dall-e-2",
    ],
  ])("%s is named with its place", (_title, edits, message) => {
    const path = write("broken.json", dallE3, edits);
    expect(() => loadCatalogue({ folder })).toThrow(`${path}: ${message}`);
  });

  test("broken JSON is named", () => {
    const path = join(folder, "broken.json");
    writeFileSync(path, '{"id": ');
    expect(() => loadCatalogue({ folder })).toThrow(`${path}: expected JSON: `);
  });

  test("two files of one id are named", () => {
    const first = write("a.json", flux, {});
    const second = write("b.json", flux, {});
    expect(() => loadCatalogue({ folder })).toThrow(
      `${second}: id: expected an id of its own, ${first} has '${flux}' too`,
    );
  });

  test("every defect of a file is named at once", () => {
    write("broken.json", dallE3, { name: undefined, owned_by: undefined });
    expect(() => loadCatalogue({ folder })).toThrow(/: name: .*\n.*: owned_by: /);
  });
});
