/** The request schemas of the OpenAPI description take what the router takes, and nothing else. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { GivenInputs, Model, Operation } from "../../src/catalogue/index.ts";
import { PublicError } from "../../src/errors.ts";
import { checkModels } from "../../src/generation/generate.ts";
import { readReferences } from "../../src/http/edit-json.ts";
import { parseKeyChanges, parseNewKey } from "../../src/http/key-body.ts";
import { requestSchemaName } from "../../src/http/openapi-requests.ts";
import type { InputImage } from "../../src/providers/input.ts";
import { readWebhookUrl } from "../../src/webhooks/url.ts";
import { ajv, catalogue, made, validator } from "./openapi-document.ts";

const strange = fc.constantFrom<unknown>(
  ...[null, true, "", "x", "01x1", "1000x1000", "ftp://a", {}, [], -1, 1.5, 2 ** 31],
);

/** What the fields of routing take, and what lies just outside. */
const routing: Record<string, unknown[]> = {
  models: [["openai/gpt-image-2"], ["gpt-image-2", "dall-e-3:floor"], [], [5], ["no/such-model"]],
  route: ["fallback", "weighted"],
  provider: [
    { order: ["bfl"], only: ["bfl", "fal"], ignore: [] },
    { sort: "price", allow_fallbacks: false, fallback_on_refusal: true, require_parameters: false },
    { sort: "throughput" },
    { max_price: 0.05 },
    { max_price: "0.05" },
    { max_price: -1 },
    { max_price: "a lot" },
    { max_price: { image: "0.1" } },
    { max_price: { request: 1 } },
    { order: "bfl" },
    { only: [""] },
    { unheard_of: 1 },
  ],
  webhook_url: ["https://hooks.example/a", "http://hooks.example/a"],
};

const picture = "data:image/png;base64,AAAA";
const pictures: Record<string, unknown[]> = {
  images: [
    [{ image_url: picture }],
    [{ image_url: "https://pictures.example/cat.png" }, { image_url: picture }],
    Array.from({ length: 5 }, () => ({ image_url: picture })),
    Array.from({ length: 17 }, () => ({ image_url: picture })),
    [],
    [picture],
    [{ file_id: "file-1" }],
    [{ image_url: "http://pictures.example/cat.png" }],
  ],
  mask: [{ image_url: picture }, { file_id: "file-1" }, picture],
  markup: [{ image_url: picture }, picture],
};

/** What a parameter of this name takes in some model, and what lies just outside. */
function edges(name: string): unknown[] {
  const own = catalogue.models.flatMap((model): readonly unknown[] => {
    const parameter = model.parameters.find((one) => one.name === name);
    if (parameter === undefined) return [];
    if ("values" in parameter) return [...parameter.values, "auto"];
    if ("minimum" in parameter) {
      return [parameter.minimum - 1, parameter.minimum, parameter.maximum, parameter.maximum + 1];
    }
    switch (parameter.type) {
      case "seed":
        return [0, 7, parameter.maximum, parameter.maximum + 1];
      case "boolean":
        return [true, false];
      case "size_rule":
        return [parameter.example, "auto", `${parameter.max_side + parameter.divisible_by}x${parameter.min_side}`];
      case "image_url":
        return ["https://pictures.example/a.png"];
      case "object":
        return [{ reasoning: { effort: "low" } }, { reasoning: { effort: "none of these" } }, { unheard_of: 1 }];
      default:
        return ["words", "文".repeat(10_000), "x".repeat(10_001)];
    }
  });
  return [...new Set([...own, ...(routing[name] ?? []), ...(pictures[name] ?? [])])];
}

const nameOfParameter = new Set(catalogue.models.flatMap((model) => model.parameters.map(({ name }) => name)));
const valuesOf = (name: string) =>
  fc.oneof({ arbitrary: fc.constantFrom<unknown>(...edges(name)), weight: 8 }, { arbitrary: strange, weight: 1 });

function bodiesOf(operation: Operation) {
  const able = catalogue.models.filter(({ operations }) => operations.includes(operation));
  const extra = operation === "edit" ? ["mask", "markup"] : [];
  const names = [...nameOfParameter, ...Object.keys(routing), ...extra, "unheard_of"];
  const given = fc
    .uniqueArray(fc.constantFrom(...names), { maxLength: 3 })
    .chain((some) =>
      fc.record(Object.fromEntries(some.map((name) => [name, edges(name).length === 0 ? strange : valuesOf(name)]))),
    );
  const prompt = fc.oneof(
    { arbitrary: fc.constantFrom<unknown>("a cat", "一隻貓"), weight: 9 },
    { arbitrary: strange, weight: 1 },
  );
  const model = fc.constantFrom(...able.map(({ id }) => id), "gpt-image-2", "gpt-image-2:nitro", "no/such-model");
  const images = fc.oneof(
    { arbitrary: fc.constant<unknown>([{ image_url: picture }]), weight: 6 },
    { arbitrary: valuesOf("images"), weight: 1 },
  );
  return fc.record(
    { model, prompt, given, ...(operation === "edit" ? { images } : {}) },
    { requiredKeys: ["model", "given"] },
  );
}

/** A PNG that everything fits. */
const png: InputImage = {
  ...{ contentType: "image/png", bytes: 1, sha256: "", width: 64, height: 64 },
  open: () => new Blob(),
} as InputImage;

/** The router's own judgement of a body, up to what only the bytes of pictures or the state of providers tell. */
function refusalOf(operation: Operation, body: Record<string, unknown>): PublicError | null {
  return refusalBy(() => {
    if (operation === "generate") {
      checkModels({ catalogue }, { body });
    } else {
      const { references, body: rest } = readReferences(body);
      const at = (place: string) => references.filter((one) => one.place === place).map(() => png);
      const [mask] = at("mask");
      const [markup] = at("markup");
      const given: GivenInputs = { operation, images: at("image"), mask, markup, field: "images" };
      checkModels({ catalogue }, { body: rest, given });
    }
    readWebhookUrl(body.webhook_url, []);
  });
}

/** What a schema cannot say. */
function beyond(refusal: PublicError | null, { models, webhook_url, ...body }: Record<string, unknown>): boolean {
  // Which models can honour the rest; with several names the schema leaves that open.
  if (Array.isArray(models)) return true;
  // Whether a text is a URL, and what kind.
  if (typeof webhook_url === "string" && webhook_url !== "") return true;
  if (refusal === null) return false;
  const value = body[refusal.param ?? ""];
  const types = new Set(parametersCalled(refusal.param).map(({ type }) => type));
  if (types.has("image_url") && typeof value === "string") return true;
  // A seed that n images would count past its end.
  if (types.has("seed") && refusal.code === "integer_above_max_value") return true;
  // A size's steps, where they are too many to list, its pixels and its shape.
  return types.has("size_rule") && /^[1-9]\d*x[1-9]\d*$/.test(String(value));
}

const parametersCalled = (name: string | null) =>
  catalogue.models.flatMap(({ parameters }) => parameters.filter((one) => one.name === name));

describe.each(["generate", "edit"] as const)("request schemas to %s", (operation) => {
  const able: Model[] = catalogue.models.filter(({ operations }) => operations.includes(operation));

  test("take exactly what the router takes", () => {
    const validate = validator(`/components/schemas/${operation === "edit" ? "EditRequest" : "ImageRequest"}`);
    let accepted = 0;
    let compared = 0;
    fc.assert(
      fc.property(bodiesOf(operation), ({ given, ...named }) => {
        const body: Record<string, unknown> = { ...given, ...named };
        const refusal = refusalOf(operation, body);
        if (beyond(refusal, body)) return;
        accepted += refusal === null ? 1 : 0;
        compared += 1;
        const valid = validate(body) === true;
        expect({ body, refusal: refusal?.message, valid }).toEqual({
          body,
          refusal: refusal?.message,
          valid: refusal === null,
        });
      }),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(200);
    expect(compared).toBeGreaterThan(1_500);
  });

  test("take several models, whatever the parameters of each", () => {
    const validate = validator(`/components/schemas/${operation === "edit" ? "EditRequest" : "ImageRequest"}`);
    const extra = operation === "edit" ? { images: [{ image_url: picture }] } : {};
    for (const body of [
      { models: ["gpt-image-2"], prompt: "x", ...extra },
      { model: "gpt-image-2", models: ["flux-1-kontext-pro"], prompt: "x", quality: "low", ...extra },
    ])
      expect({ body, valid: validate(body) }).toEqual({ body, valid: true });
    for (const body of [
      { models: [], prompt: "x", ...extra },
      { models: Array.from({ length: 11 }, () => "gpt-image-2"), prompt: "x", ...extra },
      { models: ["gpt-image-2"], ...extra },
      { models: ["gpt-image-2"], prompt: "x", route: "x", ...extra },
    ])
      expect({ body, valid: validate(body) }).toEqual({ body, valid: false });
  });

  test("have the parameters of every model, and take its defaults", () => {
    for (const model of able) {
      const schema = made.components.schemas[requestSchemaName(model, operation)];
      // Asking for no previews is fine with a model that has none.
      const known = new Set([...model.parametersOf[operation].names, ...Object.keys(routing), "partial_images"]);
      // Nor is a picture that is null one that the model would have to take.
      if (operation === "edit") known.add("mask").add("markup");
      expect(Object.keys(schema?.properties ?? {}).sort()).toEqual([...known].sort());
      for (const [name, property] of Object.entries(schema?.properties ?? {})) {
        if (property.default === undefined) continue;
        const { description: _, ...rules } = property;
        expect({ name, valid: ajv.validate(rules, property.default) }).toEqual({ name, valid: true });
      }
    }
  });
});

describe("bodies about keys", () => {
  const rules = { catalogue, providers: ["openai", "sandbox"], now: 0 };
  const odd = fc.constantFrom<unknown>(true, "", "x", {}, [], [1], -1, 1.5, 0);
  const values: Record<string, unknown[]> = {
    name: ["shop", "文".repeat(200), "x".repeat(201)],
    type: ["live", "test", null],
    disabled: [true, false],
    limit: [0, 0.5, 9_000_000, 9_000_001, null],
    limit_reset: ["daily", "weekly", "monthly", "lifetime", null],
    expires_at: ["2099-01-31T00:00:00Z", null],
    allowed_models: [["dall-e-3", "stability/stable-diffusion-3-large"], null],
    allowed_providers: [["openai"], null],
    webhook_url: ["https://hooks.example/a", null],
    rate_limit: [null, {}, { concurrent: 1 }, { requests_per_day: null }, { requests_per_minute: 0 }, { per_hour: 1 }],
  };
  const field = (name: string) =>
    fc.oneof({ arbitrary: fc.constantFrom(...(values[name] ?? [])), weight: 9 }, { arbitrary: odd, weight: 1 });
  const body = fc
    .uniqueArray(fc.constantFrom(...Object.keys(values)), { maxLength: 4 })
    .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, field(name)]))));
  // What a schema cannot say, or not without `format`: blank names, unknown ids, times.
  const beyond = (refusal: PublicError) =>
    refusal.code === "invalid_value" && /^(expires_at|allowed_|webhook_url)/.test(refusal.param ?? "");

  test.each([
    ["NewKey", (fields: Record<string, unknown>) => parseNewKey({ fields, limitLiteral: undefined }, rules)],
    [
      "KeyChanges",
      (fields: Record<string, unknown>) => parseKeyChanges({ fields, limitLiteral: undefined }, "live", rules),
    ],
  ])("%s takes exactly what the Key API takes", (name, parse) => {
    const validate = validator(`/components/schemas/${name}`);
    let accepted = 0;
    fc.assert(
      fc.property(body, (fields) => {
        const refusal = refusalBy(() => parse(fields));
        accepted += refusal === null ? 1 : 0;
        if (refusal !== null && beyond(refusal)) return;
        // An empty `rate_limit` alone changes nothing.
        if (name === "KeyChanges" && refusal?.code === "missing_required_parameter" && "rate_limit" in fields) return;
        expect({ fields, valid: validate(fields) }).toEqual({ fields, valid: refusal === null });
      }),
      { numRuns: 2_000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});

function refusalBy(check: () => unknown): PublicError | null {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof PublicError) return error;
    throw error;
  }
}
