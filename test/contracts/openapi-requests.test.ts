/** The request schemas of the OpenAPI description take what the router takes, and nothing else. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { checkRequest } from "../../src/catalogue/index.ts";
import { PublicError } from "../../src/errors.ts";
import { parseKeyChanges, parseNewKey } from "../../src/http/key-body.ts";
import { ajv, catalogue, made, validator } from "./openapi-document.ts";

describe("request schemas", () => {
  const strange = fc.constantFrom<unknown>(
    null,
    true,
    "",
    "x",
    "01x1",
    "1000x1000",
    "ftp://a",
    {},
    [],
    -1,
    1.5,
    2 ** 31,
  );

  /** What a parameter of this name takes in some model, and what lies just outside. */
  function edges(name: string): unknown[] {
    return catalogue.models.flatMap((model): readonly unknown[] => {
      const parameter = model.parameters.find((one) => one.name === name);
      if (parameter === undefined) return [];
      if ("values" in parameter) return parameter.values;
      if ("minimum" in parameter) {
        return [parameter.minimum - 1, parameter.minimum, parameter.maximum, parameter.maximum + 1];
      }
      switch (parameter.type) {
        case "seed":
          return [0, 7, parameter.maximum, parameter.maximum + 1];
        case "boolean":
          return [true, false];
        case "size_rule":
          return [parameter.example, `${parameter.max_side + parameter.divisible_by}x${parameter.min_side}`];
        case "image_url":
          return ["https://pictures.example/a.png"];
        default:
          return ["words", "文".repeat(10_000), "x".repeat(10_001)];
      }
    });
  }
  const names = [...new Set(catalogue.models.flatMap((model) => model.parameters.map(({ name }) => name)))];
  const valuesOf = (name: string) =>
    fc.oneof({ arbitrary: fc.constantFrom<unknown>(...edges(name)), weight: 8 }, { arbitrary: strange, weight: 1 });
  const given = fc
    .uniqueArray(fc.constantFrom(...names, "unheard_of"), { maxLength: 3 })
    .chain((some) =>
      fc.record(Object.fromEntries(some.map((name) => [name, edges(name).length === 0 ? strange : valuesOf(name)]))),
    );
  const prompt = fc.oneof(
    { arbitrary: fc.constantFrom<unknown>("a cat", "一隻貓"), weight: 9 },
    { arbitrary: strange, weight: 1 },
  );
  const model = fc.constantFrom(...catalogue.models.map(({ id }) => id), "dall-e-3", "no/such-model");
  const bodies = fc.record({ model, prompt, given }, { requiredKeys: ["model", "given"] });

  test("take exactly what the catalogue takes", () => {
    const validate = validator("/components/schemas/ImageRequest");
    let accepted = 0;
    fc.assert(
      fc.property(bodies, ({ given, ...named }) => {
        const body: Record<string, unknown> = { ...given, ...named };
        const refusal = refusalOf(body);
        accepted += refusal === null ? 1 : 0;
        const valid = validate(body) === true;
        // What a schema cannot say: a seed that n images would count past its end, and whether a text is a URL.
        if (refusal?.code === "integer_above_max_value" && refusal.param === "seed") return;
        if (refusal?.param === "image_prompt" && typeof body.image_prompt === "string") return;
        expect({ body, valid }).toEqual({ body, valid: refusal === null });
      }),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });

  test("take what every model's own listing gives as its default", () => {
    for (const model of catalogue.models) {
      const schema = made.components.schemas[`ImageRequest.${model.id.replace("/", ".")}`];
      expect(Object.keys(schema?.properties ?? {}).sort()).toEqual([...model.supportedParameters].sort());
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
  const strange = fc.constantFrom<unknown>(true, "", "x", {}, [], [1], -1, 1.5, 0);
  const values: Record<string, unknown[]> = {
    name: ["shop", "文".repeat(200), "x".repeat(201)],
    type: ["live", "test", null],
    disabled: [true, false],
    limit: [0, 0.5, 9_000_000, 9_000_001, null],
    limit_reset: ["daily", "weekly", "monthly", "lifetime", null],
    expires_at: ["2099-01-31T00:00:00Z", null],
    allowed_models: [["dall-e-3", "stability/stable-diffusion-3-large"], null],
    allowed_providers: [["openai"], null],
    rate_limit: [null, {}, { concurrent: 1 }, { requests_per_day: null }, { requests_per_minute: 0 }, { per_hour: 1 }],
  };
  const field = (name: string) =>
    fc.oneof({ arbitrary: fc.constantFrom(...(values[name] ?? [])), weight: 9 }, { arbitrary: strange, weight: 1 });
  const body = fc
    .uniqueArray(fc.constantFrom(...Object.keys(values)), { maxLength: 4 })
    .chain((names) => fc.record(Object.fromEntries(names.map((name) => [name, field(name)]))));
  // What a schema cannot say, or not without `format`: blank names, unknown ids, times.
  const beyond = (refusal: PublicError) =>
    refusal.code === "invalid_value" && /^(expires_at|allowed_)/.test(refusal.param ?? "");

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

function refusalOf(body: unknown): PublicError | null {
  return refusalBy(() => checkRequest(catalogue, body));
}

function refusalBy(check: () => unknown): PublicError | null {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof PublicError) return error;
    throw error;
  }
}
